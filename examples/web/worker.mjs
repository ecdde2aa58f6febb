// Opens a bundle and answers, beside the page, so that typing never waits.
//
// It is told {number, kind: 'open', base, threads}, {number, kind: 'ask', texts, prompt} and {number, kind: 'replay'}, and
// tells {number, found} or {number, failed} of each; while it opens, {loading: {done, total}}.

import { ask } from './answers.mjs';
import { BundleError } from './bundle.mjs';
import { fetchBundle } from './files.mjs';
import { askGolden, HEADS } from './heads.mjs';
import { placer } from './places.mjs';

const PACKAGES = new URL('node_modules/', import.meta.url).href;
const LIBRARY = `${PACKAGES}@huggingface/transformers/dist/transformers.min.js`;
const ENGINE = `${PACKAGES}onnxruntime-web/dist/`;

let opened = null;

const TOLD = {
  async open({ base, threads }) {
    opened = await open(base, threads);
    const { bundle, checked, versions } = opened;
    const { manifest, task, graph, goldens, prompts } = bundle;
    return {
      task,
      mask: opened.pipe.tokenizer.mask_token,
      samples: goldens.map(({ input }) => input),
      prompts: Object.keys(prompts.texts),
      prompt: prompts.usual,
      precision: manifest.precision,
      bytes: (manifest.files[graph] ?? manifest.files[manifest.links[graph]]).bytes,
      digest: manifest.digest,
      verdict: manifest.gate?.verdict ?? null,
      checked,
      versions,
      threads,
    };
  },
  ask: ({ texts, prompt }) => ask(opened, texts, prompt),
  async replay() {
    const { pipe, bundle } = opened;
    const rows = [];
    for (const golden of bundle.goldens) rows.push(await askGolden(pipe, bundle, golden));
    const agree = rows.filter(({ problems }) => !problems.length).length;
    const difference = Math.max(...rows.map((row) => row.difference));
    return { agree, of: rows.length, difference, atol: bundle.atol };
  },
};

async function open(base, threads) {
  const loading = load(threads);
  loading.catch(() => {}); // awaited below; the bundle's error comes first
  const { bundle, files, checked } = await fetchBundle(base, (done, total) => postMessage({ loading: { done, total } }));
  if (bundle.manifest.cascade) throw new BundleError('this bundle is a cascade, and the library opens one model');
  const head = HEADS[bundle.task.problem];
  if (!head) throw new BundleError(`this page does not know how to ask for ${bundle.task.problem}`);
  const { library, versions } = await loading;
  // The library is given the files that were checked, and fetches nothing by itself.
  library.env.fetch = async (address) => {
    const data = files.get(String(address).replace(/^\/bundle\//, ''));
    if (!data) return new Response(null, { status: 404 });
    return new Response(data, { headers: { 'content-length': String(data.length) } });
  };
  const pipe = await library.pipeline(head.pipeline, 'bundle', {
    // The library lists no device for an engine that it was given, and takes what the options say.
    device: 'auto',
    session_options: { executionProviders: ['wasm'] },
  });
  const tokenizerFile = JSON.parse(new TextDecoder().decode(files.get('tokenizer.json')));
  files.clear();
  return { pipe, bundle, checked, versions, place: placer(tokenizerFile, pipe.tokenizer) };
}

/** Load the library on the engine that is WebAssembly alone, half as large as the one that it brings itself. */
async function load(threads) {
  try {
    const engine = await import(`${ENGINE}ort.wasm.min.mjs`);
    engine.env.wasm.wasmPaths = ENGINE;
    engine.env.wasm.numThreads = threads;
    globalThis[Symbol.for('onnxruntime')] = engine;
    const library = await import(LIBRARY);
    const settings = { allowRemoteModels: false, allowLocalModels: true, localModelPath: '/', useBrowserCache: false };
    Object.assign(library.env, settings);
    return { library, versions: { transformers: library.env.version, onnxruntime: engine.env.versions.web } };
  } catch (error) {
    throw new BundleError(`the packages of this page do not load: ${error.message}`, 'npm ci --ignore-scripts, beside index.html');
  }
}

// One message at a time, in order.
let turn = Promise.resolve();
addEventListener('message', ({ data }) => {
  const { number, kind } = data;
  const failed = (error) => {
    const known = error instanceof BundleError;
    const [what, hint] = known ? error.message.split('\n  next: ') : [`${error.name}: ${error.message}`];
    postMessage({ number, failed: { what, hint: hint ?? null } });
  };
  turn = turn.then(() => TOLD[kind](data)).then((found) => postMessage({ number, found }), failed);
});
