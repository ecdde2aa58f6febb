// The files of a bundle, fetched from where the page is served, held to the manifest, and kept in the browser.

import { BundleError, neededFiles, readBundle } from './bundle.mjs';

const KEPT = 'edgeroberta';
const AGAIN = 'copy the bundle to the server again from where it was made';

/**
 * Fetch a bundle.
 *
 * @param {string} base Address of the bundle's folder, with a slash at its end.
 * @param {(done: number, total: number) => void} tell Told how many bytes are there, of how many.
 * @returns {Promise<{bundle: object, files: Map<string, Uint8Array>, checked: boolean}>} `bundle`: what `readBundle`
 *   returns. `files`: those that the library reads, by name. `checked`: whether their sha256 was compared, which
 *   browsers offer on loopback and over https alone.
 */
export async function fetchBundle(base, tell) {
  const checked = Boolean(globalThis.crypto?.subtle);
  let manifest = null;
  const bundle = await readBundle(async (name) => {
    if (name !== 'manifest.json') {
      const entry = manifest.files[name];
      return entry ? new TextDecoder().decode(await fetched(base, { name, ...entry }, () => {})) : null;
    }
    const text = await fetchManifest(base);
    manifest = readable(text);
    return text;
  });
  const needed = neededFiles(bundle);
  const total = needed.reduce((sum, { bytes }) => sum + bytes, 0);
  const done = new Map();
  const files = new Map();
  const fetchOne = async (file) => {
    const count = (bytes) => {
      done.set(file.name, bytes);
      tell([...done.values()].reduce((sum, each) => sum + each, 0), total);
    };
    files.set(file.name, await fetched(base, file, count));
    count(file.bytes);
  };
  await Promise.all(needed.map(fetchOne));
  await forgetOthers([...needed, ...Object.values(manifest.files)]);
  return { bundle, files, checked };
}

async function fetchManifest(base) {
  const response = await answerOf(`${base}manifest.json`, { cache: 'no-cache' });
  if (response.status === 404) return null;
  return response.text();
}

const readable = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return null; // readBundle says so
  }
};

/** Give a file's bytes, those kept from before if they are the same. */
async function fetched(base, file, count) {
  const store = globalThis.crypto?.subtle && globalThis.caches ? await caches.open(KEPT) : null;
  const kept = await store?.match(keyOf(file));
  if (kept) return new Uint8Array(await kept.arrayBuffer());
  const response = await answerOf(`${base}${file.name}`, { cache: 'no-store' });
  if (response.status === 404) throw new BundleError(`${file.name} is missing`, AGAIN);
  const data = await received(response, file, count);
  if (data === null || !(await isListed(data, file))) {
    throw new BundleError(`${file.name} is not the file that the manifest lists`, AGAIN);
  }
  // Where there is no room, it is fetched again the next time.
  await store?.put(keyOf(file), new Response(data)).catch(() => {});
  return data;
}

async function answerOf(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new BundleError(`the server does not answer: ${address}`, 'start it again: python serve.py BUNDLE');
  }
  if (!response.ok && response.status !== 404) {
    throw new BundleError(`the server answers ${response.status}: ${address}`, 'look at what the server says');
  }
  return response;
}

/** Read an answer as it comes; null where it is longer or shorter than the file. */
async function received(response, { bytes }, count) {
  const data = new Uint8Array(bytes);
  const reader = response.body.getReader();
  let place = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return place === bytes ? data : null;
    if (place + value.length > bytes) {
      await reader.cancel();
      return null;
    }
    data.set(value, place);
    place += value.length;
    count(place);
  }
}

async function isListed(data, { sha256 }) {
  if (!globalThis.crypto?.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('') === sha256;
}

/** Keep the files of one bundle alone, that of the last visit. */
async function forgetOthers(files) {
  if (!globalThis.caches) return;
  const store = await caches.open(KEPT);
  const wanted = new Set(files.map((file) => new URL(keyOf(file), location.href).href));
  for (const request of await store.keys()) if (!wanted.has(request.url)) await store.delete(request);
}

const keyOf = ({ sha256 }) => `/sha256/${sha256}`;
