// Answers texts with two graphs of one model in transformers.js, in turns, and times each call.
// Run by benchmarks/javascript.py; the request is JSON on standard input, the answer JSON on standard output.

import { readFileSync } from 'node:fs';

import { openLibrary } from '../examples/web/library.mjs';

const { folders, texts, device, web, warmUp } = JSON.parse(readFileSync(0, 'utf8'));
const library = await openLibrary({ device, threads: 1, web });
const opened = {};
for (const [name, { folder, graph }] of Object.entries(folders)) {
  opened[name] = await library.open('text-classification', folder, { graph, manifest: {} });
}

const names = Object.keys(folders);
const found = Object.fromEntries(names.map((name) => [name, { logits: [], ms: [] }]));
for (let row = -warmUp; row < texts.length; row += 1) {
  const text = texts[Math.max(row, 0)];
  // Which one begins alternates, so that neither always finds the caches of the other.
  for (const name of row % 2 ? names : [...names].reverse()) {
    const { tokenizer, model } = opened[name];
    const inputs = tokenizer(text, { truncation: true });
    const before = process.cpuUsage();
    const { logits } = await model(inputs);
    const { user, system } = process.cpuUsage(before);
    if (row < 0) continue;
    found[name].logits.push(logits.tolist()[0]);
    found[name].ms.push((user + system) / 1000);
  }
}
process.stdout.write(JSON.stringify({ versions: library.versions, node: process.version, found }));
