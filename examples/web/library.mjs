// Opens transformers.js in Node, on its own engine or on the one of browsers.

import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { readFile } from 'node:fs/promises';

import { BundleError } from './bundle.mjs';

const NAME = '@huggingface/transformers';

/**
 * Load the library.
 *
 * @param {{device: 'cpu' | 'wasm', threads: number, web?: string}} options `web`: folder of the package
 *   onnxruntime-web; by default the one that the library asks for, and that it runs in browsers.
 * @returns {Promise<{version: string, versions: object, engine: string, open: Function}>} `open(task, folder, bundle)`
 *   returns a pipeline of the library for a bundle, from its own files alone.
 */
export async function openLibrary({ device, threads, web }) {
  let entry;
  try {
    entry = createRequire(import.meta.url).resolve(NAME);
  } catch {
    throw new BundleError(`${NAME} is not installed`, 'npm ci --ignore-scripts, in the folder of check.mjs');
  }
  if (device === 'wasm') await useWasm(entry, threads, web);
  const library = await import(NAME);
  library.env.allowRemoteModels = false;
  const versions = { transformers: library.env.version, ...library.env.backends.onnx.versions };
  const engine = device === 'wasm' ? `onnxruntime-web ${versions.web}` : `onnxruntime-node ${versions.node}`;

  async function open(task, folder, bundle) {
    const sessionOptions = { intraOpNumThreads: threads, interOpNumThreads: 1 };
    if (device === 'cpu') return library.pipeline(task, folder, { device, session_options: sessionOptions });
    // In Node the library lists no device for an engine that it was given, and takes what the options say.
    sessionOptions.executionProviders = ['wasm'];
    // And it leaves weights beside the graph to the engine, which in WebAssembly sees no files.
    if (bundle.manifest.links?.[`${bundle.graph}_data`]) {
      const file = `${path.basename(bundle.graph)}_data`;
      const data = new Uint8Array(await readFile(path.join(folder, 'onnx', file)));
      sessionOptions.externalData = [{ path: file, data }];
    }
    return library.pipeline(task, folder, { device: 'auto', session_options: sessionOptions });
  }
  return { version: library.env.version, versions, engine, open };
}

/**
 * Let the library run on WebAssembly: it takes the engine that it finds under this symbol (src/backends/onnx.js).
 * In a browser none of this is needed, there it is the only engine.
 */
async function useWasm(entry, threads, web) {
  const folder = web ? path.resolve(web) : packageFolder(createRequire(entry).resolve('onnxruntime-web'));
  const dist = pathToFileURL(`${path.join(folder, 'dist')}${path.sep}`).href;
  const engine = await import(`${dist}ort.node.min.mjs`).catch(() => {
    throw new BundleError(`there is no onnxruntime-web in ${folder}`, 'npm ci --ignore-scripts');
  });
  engine.env.wasm.numThreads = threads;
  engine.env.wasm.wasmPaths = dist; // else the library fetches it from a content delivery network
  globalThis[Symbol.for('onnxruntime')] = engine;
}

const packageFolder = (file) => path.dirname(path.dirname(file));
