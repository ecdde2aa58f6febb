// Answers from a bundle in this browser: a worker opens it and asks the model.
// `edgeroberta serve` gives server_answerer.mjs in place of this file.

const MOST_THREADS = 4;
// A module with one function that adds vectors: whether the browser compiles it says whether it has SIMD.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 9, 1, 7, 0, 65, 0, 253, 15, 26, 11];

const wanted = new URLSearchParams(location.search);
const base = new URL(`${(wanted.get('bundle') ?? 'bundle').replace(/\/+$/, '')}/`, location.href);
const waiting = new Map(); // what was told of each message that has no answer yet
let worker = null;
let number = 0;

/** What becomes of texts, in a sentence. */
export const privacy = 'Texts stay in this browser.';

/**
 * Open the bundle.
 *
 * @param {(done: number, total: number) => void} loading Told how many bytes are there, of how many.
 * @returns {Promise<object>} `name`: of the bundle. `task`: as its manifest has it. `mask`: the mask token.
 *   `samples`: texts to begin with. `prompts`: names of what stands in front of texts, and `prompt`: the usual one.
 *   `facts`: what else is known, as rows of a table.
 * @throws {Error} With a `hint` where there is something to do about it, and `again` where that may be to ask once more;
 *   so do the functions below.
 */
export async function open(loading) {
  const missing = lacking();
  if (missing) throw missing;
  worker = new Worker(new URL('worker.mjs', import.meta.url), { type: 'module' });
  worker.addEventListener('message', ({ data }) => {
    if (data.loading) return loading(data.loading.done, data.loading.total);
    const { resolve, reject } = waiting.get(data.number);
    waiting.delete(data.number);
    return data.failed ? reject(problem(data.failed.what, data.failed.hint)) : resolve(data.found);
  });
  worker.addEventListener('error', () => {
    for (const { reject } of waiting.values()) reject(problem('the worker of this page does not start', 'reload the page'));
    waiting.clear();
  });
  const opened = await tell({ kind: 'open', base: base.href, threads: threads() });
  const name = decodeURIComponent(base.pathname.split('/').at(-2) || 'bundle');
  return { name, ...opened, facts: factsOf(opened) };
}

/** Ask texts: one, or two of a pair. `prompt`: the name of what stands in front. See `ask` in answers.mjs. */
export const ask = (texts, prompt) => tell({ kind: 'ask', texts, prompt });

/** Ask the model what it was asked where the bundle was made, and say what came of it. */
export async function replay() {
  const { agree, of, difference, atol } = await tell({ kind: 'replay' });
  return `${agree} of ${of} agree; the largest difference is ${difference.toExponential(1)}, allowed are ${atol}`;
}

function tell(message) {
  number += 1;
  const told = new Promise((resolve, reject) => {
    waiting.set(number, { resolve, reject });
  });
  worker.postMessage({ number, ...message });
  return told;
}

/** Say what keeps the model from running here; null: nothing. */
function lacking() {
  if (typeof WebAssembly !== 'object' || !WebAssembly.validate(new Uint8Array(SIMD))) {
    return problem('this browser has no WebAssembly with SIMD, which the engine needs', 'use a browser of 2023 or later');
  }
  if (base.origin !== location.origin) {
    return problem('the bundle has to be on the server of this page', 'name it by its path: ?bundle=models/out');
  }
  return null;
}

/** Several threads take memory that is shared, which browsers give to isolated pages alone; one core is the page's. */
function threads() {
  const cores = navigator.hardwareConcurrency ?? 1;
  const asked = Number(wanted.get('threads'));
  if (!crossOriginIsolated) return 1;
  return Number.isInteger(asked) && asked > 0 ? Math.min(asked, cores) : Math.max(1, Math.min(MOST_THREADS, cores - 1));
}

const factsOf = ({ precision, bytes, digest, verdict, checked, versions, threads: used }) => ({
  Bundle: base.pathname,
  Model: `${precision}, ${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`,
  Gate: verdict ?? 'not judged',
  Digest: digest.slice(0, 16),
  Files: checked ? 'as the manifest lists them' : 'not checked: browsers do that on loopback and over https alone',
  Engine: `onnxruntime-web ${versions.onnxruntime}, WebAssembly`,
  Library: `transformers.js ${versions.transformers}`,
  Threads: crossOriginIsolated ? String(used) : '1: the page is not cross-origin isolated',
});

const problem = (what, hint) => Object.assign(new Error(what), { hint });
