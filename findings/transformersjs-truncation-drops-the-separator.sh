#!/bin/sh
# @huggingface/transformers 4.3.2 (JavaScript): truncation cuts the special token off the end of a long text, and an
# empty second text is no text.
#
# Expected: as in Python, `truncation: true` shortens the text and keeps `</s>` at its end, of a pair it shortens the
# longer text, and a pair with an empty second text keeps the separators of a pair. Seen: the list of ids is cut at its
# end after the special tokens were added, so that the last one is lost, and of a pair the second text alone is cut, however
# long the first one is; and `text_pair: ""` gives the ids of the first text alone. A model then reads inputs of a form
# that it was not trained on.
set -eu
command -v npm >/dev/null && command -v node >/dev/null || { echo "needs node and npm"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts @huggingface/transformers@4.3.2
cat > check.mjs <<'JS'
import { mkdirSync, writeFileSync } from 'node:fs';
import { AutoTokenizer, env } from '@huggingface/transformers';

env.allowRemoteModels = false;
const words = ['<s>', '<pad>', '</s>', '<unk>', 'a', 'b'];
const special = (content, id) => ({ id, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false });
mkdirSync('model');
writeFileSync('model/tokenizer.json', JSON.stringify({
  version: '1.0',
  added_tokens: words.slice(0, 4).map(special),
  normalizer: null,
  pre_tokenizer: { type: 'WhitespaceSplit' },
  post_processor: { type: 'RobertaProcessing', sep: ['</s>', 2], cls: ['<s>', 0], trim_offsets: true, add_prefix_space: false },
  decoder: null,
  model: { type: 'WordLevel', vocab: Object.fromEntries(words.map((word, id) => [word, id])), unk_token: '<unk>' },
}));
writeFileSync('model/tokenizer_config.json', JSON.stringify({ tokenizer_class: 'RobertaTokenizer', model_max_length: 8 }));
const tokenizer = await AutoTokenizer.from_pretrained(`${process.cwd()}/model`);
const ids = (...inputs) => tokenizer(...inputs).input_ids.tolist()[0].map(Number).join(' ');
const found = {
  'ten words': ids('a '.repeat(10), { truncation: true }),
  'six and one': ids('a '.repeat(6), { text_pair: 'b', truncation: true }),
  'one and none': ids('a', { text_pair: '' }),
};
const seen = { 'ten words': '0 4 4 4 4 4 4 4', 'six and one': '0 4 4 4 4 4 4 2', 'one and none': '0 4 2' };
const inPython = { 'ten words': '0 4 4 4 4 4 4 2', 'six and one': '0 4 4 4 2 2 5 2', 'one and none': '0 4 2 2 2' };
for (const [name, each] of Object.entries(found)) console.log(`${name}: ${each}; in Python ${inPython[name]}`);
process.exit(JSON.stringify(found) === JSON.stringify(seen) ? 0 : 1);
JS
node check.mjs
