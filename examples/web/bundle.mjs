// What a bundle says of itself: its manifest, its goldens, and where transformers.js finds its graph.
// Reads through a function of the caller's, so that it works on files in Node and on addresses in a browser.

export class BundleError extends Error {
  constructor(what, hint) {
    super(hint ? `${what}\n  next: ${hint}` : what);
    this.name = 'BundleError';
  }
}

const MAKE = 'edgeroberta compress MODEL --data DATA --recipe int8 --target web -o out/';
// The library's names of files by type of numbers (src/utils/dtypes.js); a bundle has one of these.
const GRAPHS = { fp32: 'onnx/model.onnx', q8: 'onnx/model_quantized.onnx' };

/**
 * Read manifest and goldens.
 *
 * @param {(name: string) => Promise<string | null>} read Gives the text of a file of the bundle; null: it is not there.
 * @returns {Promise<{manifest: object, task: object, graph: string, prompts: object, prompt: string, atol: number,
 *   goldens: Golden[]}>} `graph`: path of the graph below the folder. `prompts`: what may stand in front of a text of an
 *   embedding model, `texts` by their names, and the name of the usual one, `usual`; `prompt`: its text.
 *   `atol`: by how much a number may differ from a golden.
 *
 * @typedef {{input: string | [string, string], ids: number[], rows: number[][]}} Golden One question, its token ids and
 *   what the model answered where the bundle was made, a row for the text, for each token, or for each mask.
 */
export async function readBundle(read) {
  const manifest = parse('manifest.json', await read('manifest.json'));
  if (manifest?.kind !== 'edgeroberta-bundle') {
    throw new BundleError('this is no bundle: it has no manifest.json of one', MAKE);
  }
  const config = parse('config.json', await read('config.json'));
  const settings = config?.['transformers.js_config'];
  const graph = GRAPHS[settings?.dtype];
  if (!graph || !(manifest.links?.[graph] || manifest.files[graph])) {
    throw new BundleError(
      'this bundle was not laid out for JavaScript: it has no folder onnx',
      'make it again with --target web, or with --set build.layout=web',
    );
  }
  const stored = parse('goldens.json', await read('goldens.json'));
  if (!stored) throw new BundleError('the bundle has no goldens.json', 'copy it again from where it was made');
  const offsets = stored.offsets ?? stored.inputs.map((_, row) => row).concat(stored.inputs.length);
  const goldens = stored.inputs.map((input, row) => ({
    input,
    ids: stored.ids[row],
    rows: stored.logits.slice(offsets[row], offsets[row + 1]),
  }));
  const named = parse('config_sentence_transformers.json', await read('config_sentence_transformers.json'));
  const prompts = { texts: named?.prompts ?? {}, usual: named?.default_prompt_name ?? null };
  return { manifest, task: manifest.task, graph, prompts, prompt: prompts.texts[prompts.usual] ?? '', atol: stored.atol, goldens };
}

/**
 * List the files that transformers.js reads, with the sha256 and size that they must have.
 *
 * @returns {{name: string, sha256: string, bytes: number}[]} Paths below the bundle's folder.
 */
export function neededFiles({ manifest, graph }) {
  const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json', graph];
  if (manifest.files[`${graph}_data`] || manifest.links?.[`${graph}_data`]) names.push(`${graph}_data`);
  return names.map((name) => {
    const entry = manifest.files[manifest.links?.[name] ?? name];
    if (!entry) throw new BundleError(`the manifest does not list ${name}`, MAKE);
    return { name, ...entry };
  });
}

function parse(name, text) {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new BundleError(`${name} is not JSON`, 'copy the bundle again from where it was made');
  }
}
