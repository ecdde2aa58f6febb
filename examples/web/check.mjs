#!/usr/bin/env node
// Opens a bundle with transformers.js and asks it its goldens: does it say here what it said where it was made?
//
//   npm ci --ignore-scripts
//   node check.mjs BUNDLE [--device cpu|wasm] [--threads N] [--json]
//
// Exit codes: 0 all goldens agree, 1 one differs, 2 nothing was checked.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { BundleError, neededFiles, readBundle } from './bundle.mjs';
import { askGolden, HEADS } from './heads.mjs';
import { openLibrary } from './library.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const USAGE = `usage: node check.mjs BUNDLE [--device cpu|wasm] [--threads N] [--json] [--any-version]

  --device       cpu: onnxruntime-node, the default; wasm: onnxruntime-web, as in a browser without a GPU
  --threads      threads of the engine; 1 by default
  --json         print JSON and nothing else
  --any-version  check another version of the library than the one in package.json
  --onnxruntime-web FOLDER  the package to take for wasm; by default the one that the library asks for`;

async function main() {
  const { folder, device, threads, json, anyVersion, web } = readArguments();
  const bundle = await readBundle((name) => readText(path.join(folder, name)));
  if (!HEADS[bundle.task.problem]) throw new BundleError(`nobody knows here how to ask for ${bundle.task.problem}`);
  if (bundle.manifest.cascade) throw new BundleError('transformers.js opens one model, and this is a cascade of several');
  await checkFiles(folder, bundle);
  const wanted = JSON.parse(await readFile(path.join(HERE, 'package.json'), 'utf8'));
  const library = await openLibrary({ device, threads, web });
  const pinned = wanted.dependencies['@huggingface/transformers'];
  if (library.version !== pinned && !anyVersion) {
    throw new BundleError(
      `transformers.js ${library.version} is installed, and this was checked with ${pinned}`,
      `npm ci --ignore-scripts, in ${HERE}; or --any-version, to see what comes of it`,
    );
  }
  const pipe = await library.open(HEADS[bundle.task.problem].pipeline, folder, bundle);
  const rows = [];
  for (const golden of bundle.goldens) rows.push({ input: golden.input, ...(await askGolden(pipe, bundle, golden)) });
  await pipe.dispose();
  report({ folder, bundle, library, device, rows, json });
  process.exitCode = rows.every(({ problems }) => problems.length === 0) ? 0 : 1;
}

function readArguments() {
  let parsed;
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        device: { type: 'string', default: 'cpu' },
        threads: { type: 'string', default: '1' },
        json: { type: 'boolean', default: false },
        'any-version': { type: 'boolean', default: false },
        'onnxruntime-web': { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new BundleError(error.message, USAGE);
  }
  const { values, positionals } = parsed;
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const threads = Number(values.threads);
  if (positionals.length !== 1) throw new BundleError('give one bundle', USAGE);
  if (!['cpu', 'wasm'].includes(values.device)) {
    throw new BundleError(`--device is cpu or wasm, not ${values.device}; WebGPU is not checked here`, USAGE);
  }
  if (!Number.isInteger(threads) || threads < 1) throw new BundleError('--threads is a whole number from 1 on', USAGE);
  if (values['onnxruntime-web'] && values.device !== 'wasm') {
    throw new BundleError('--onnxruntime-web is for --device wasm', USAGE);
  }
  return {
    folder: path.resolve(positionals[0]),
    device: values.device,
    threads,
    json: values.json,
    anyVersion: values['any-version'],
    web: values['onnxruntime-web'],
  };
}

async function readText(file) {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw error;
  }
}

/** Hold every file that the library reads to the manifest. */
async function checkFiles(folder, bundle) {
  for (const { name, sha256, bytes } of neededFiles(bundle)) {
    const file = path.join(folder, name);
    const data = await readFile(file).catch(() => null);
    const hint = 'copy the bundle again from where it was made';
    if (data === null) throw new BundleError(`${file} is missing`, hint);
    if (data.length !== bytes || createHash('sha256').update(data).digest('hex') !== sha256) {
      throw new BundleError(`${file} is not the file that the manifest lists`, hint);
    }
  }
}

function report({ folder, bundle, library, device, rows, json }) {
  const { task, manifest, graph, atol } = bundle;
  const agree = rows.filter(({ problems }) => problems.length === 0).length;
  const most = Math.max(...rows.map(({ difference }) => difference));
  if (json) {
    const facts = { bundle: folder, digest: manifest.digest, device, versions: library.versions, atol, agree };
    console.log(JSON.stringify({ ...facts, difference: most, goldens: rows }, null, 2));
    return;
  }
  console.log(`${folder}: ${task.problem.replaceAll('_', ' ')}, ${manifest.precision}, ${graph}`);
  console.log(`transformers.js ${library.version}, ${library.engine}, ${device}\n`);
  for (const { input, answer, difference, problems } of rows) {
    const shown = JSON.stringify(input).slice(0, 60);
    console.log(`${problems.length ? 'DIFFERS' : 'ok     '} ${shown}  ${answer}  (${difference.toExponential(1)})`);
    for (const problem of problems) console.log(`        ${problem}`);
  }
  console.log(`\n${agree} of ${rows.length} goldens agree; the largest difference is ${most.toExponential(1)}, allowed are ${atol}`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof BundleError)) throw error;
  console.error(`check.mjs: ${error.message}`);
  process.exitCode = 2;
}
