// What a model says of texts, as edgeroberta's own runtime reads it, by kind of task.

import { BundleError } from './bundle.mjs';
import { encode, encodeQuestion } from './encode.mjs';
import { readEntities } from './entities.mjs';
import { HEADS } from './heads.mjs';

const LONGEST = 15; // tokens of an answer, where the bundle does not say
const SHOWN = 5; // suggestions for a mask

/**
 * Ask texts.
 *
 * @param {object} opened `pipe`: the library's pipeline; `bundle`: what `readBundle` returned; `place`: see `placer`.
 * @param {string[]} texts One text, or two of a pair.
 * @param {string | null} [prompt] Name of what stands in front of a text of an embedding model, '' for nothing; null:
 *   the usual one.
 * @returns {Promise<object>} The answer, whose `kind` says what else it has: see each function below; and `tokens`: how
 *   many the texts have, `most`: how many the model reads at once, `truncated`: whether the rest was not read, and
 *   `windows`: how many parts it was read in.
 * @throws {BundleError} The texts are longer than the model reads, and the bundle refuses such texts.
 */
export async function ask(opened, texts, prompt = null) {
  const { bundle, pipe } = opened;
  const problem = bundle.task.problem;
  const most = pipe.tokenizer.model_max_length;
  const said = { ...(await (ASKED[problem] ?? oneText)(opened, texts, prompt)), most };
  return { windows: 1, ...said };
}

const ASKED = { question_answering: passage, sentence_similarity: similarity };

async function oneText(opened, texts) {
  const { pipe, bundle } = opened;
  const encoded = encode(pipe.tokenizer, ...texts);
  refuse(bundle, encoded, texts.length > 1);
  const { inputs, ids, tokens, truncated } = encoded;
  // Of no mask there is nothing to compute, and the graph says so with an error.
  if (bundle.task.problem === 'fill_mask' && !ids.includes(bundle.task.mask_id)) return { kind: 'masks', masks: [], tokens, truncated };
  const output = await pipe.model(inputs);
  return { ...READERS[bundle.task.problem]({ ...opened, output, ids, texts }), tokens, truncated };
}

/** Refuse what the runtime refuses. */
function refuse({ manifest }, { first, tokens, truncated }, isPair) {
  if (truncated && manifest.long_text === 'refuse') {
    throw new BundleError(`the text has ${tokens} tokens, and this model reads ${manifest.max_length} and refuses more`, 'shorten it');
  }
  if (isPair && first.includes(manifest.separator_id)) {
    throw new BundleError('the first text holds the token that separates the two', 'take it out; in most models it reads [SEP]');
  }
}

const rowsOf = ({ bundle, output }) => HEADS[bundle.task.problem].rows(output);

const READERS = {
  /** `label`, `score`, and the `scores` of all labels. */
  single_label_classification(asked) {
    const scores = named(asked.bundle, softmax(rowsOf(asked)[0]));
    return { kind: 'label', ...best(scores), scores };
  },
  /** `applied`: labels above one half; and the `scores` of all labels. */
  multi_label_classification(asked) {
    const scores = named(asked.bundle, rowsOf(asked)[0].map((logit) => 1 / (1 + Math.exp(-logit))));
    return { kind: 'labels', applied: scores.filter(({ score }) => score > 0.5).map(({ label }) => label), scores };
  },
  /** `label`: what the number is of; `value`. */
  regression(asked) {
    return { kind: 'number', label: asked.bundle.task.labels[0], value: rowsOf(asked)[0][0] };
  },
  /** `entities`: `label`, `start`, `end` and `score` of each. */
  token_classification(asked) {
    const { labels, aggregation } = asked.bundle.task;
    const places = asked.place(asked.texts[0], asked.ids);
    return { kind: 'entities', entities: readEntities(labels, aggregation ?? 'first', rowsOf(asked), places) };
  },
  /** `masks`: for each mask the best tokens, `text` and `score`. */
  fill_mask({ pipe, bundle, output, ids }) {
    const places = ids.flatMap((id, place) => (id === bundle.task.mask_id ? [place] : []));
    const masks = places.map((place) => {
      const row = output.logits[0][place].data;
      const top = row.reduce((a, b) => Math.max(a, b));
      const total = row.reduce((sum, logit) => sum + Math.exp(logit - top), 0);
      const chosen = bestOf(row, SHOWN);
      return chosen.map((id) => ({ text: pipe.tokenizer.decode([id]), score: Math.exp(row[id] - top) / total }));
    });
    return { kind: 'masks', masks };
  },
};

/** How alike two texts are, `value`, by the bundle's function, `measure`. */
async function similarity({ bundle, pipe }, texts, prompt) {
  const front = prompt === null ? bundle.prompt : (bundle.prompts.texts[prompt] ?? '');
  const found = [];
  for (const text of texts) {
    const made = encode(pipe.tokenizer, front + text);
    refuse(bundle, made, false);
    found.push({ ...made, vector: (await pipe.model(made.inputs)).sentence_embedding.tolist()[0] });
  }
  const measure = bundle.task.similarity ?? 'cosine';
  return {
    kind: 'similarity',
    measure,
    value: SIMILARITIES[measure](...found.map(({ vector }) => vector)),
    tokens: found.reduce((sum, { tokens }) => sum + tokens, 0),
    truncated: found.some((each) => each.truncated),
  };
}

const dot = (a, b) => a.reduce((sum, value, place) => sum + value * b[place], 0);
const SIMILARITIES = {
  cosine: (a, b) => dot(a, b) / (Math.max(Math.sqrt(dot(a, a)), 1e-12) * Math.max(Math.sqrt(dot(b, b)), 1e-12)),
  dot,
  euclidean: (a, b) => -Math.hypot(...a.map((value, place) => value - b[place])),
  manhattan: (a, b) => -a.reduce((sum, value, place) => sum + Math.abs(value - b[place]), 0),
};

/** The answer in a passage: `start`, `end` and `score`; null where there is none, with the `score` of that. */
async function passage(opened, [question, text]) {
  const { pipe, bundle, place } = opened;
  const { long_text: way = 'truncate', stride = 0 } = bundle.manifest;
  const encoded = encodeQuestion(pipe.tokenizer, question, text, way === 'windows' ? stride : null);
  if (encoded === null) {
    throw new BundleError('the question leaves too little of what the model reads to the passage', 'shorten it');
  }
  refuse(bundle, encoded, true);
  const { tokens, truncated, windows } = encoded;
  const places = place(text, encoded.passage, true);
  const read = [];
  for (const { inputs, ids, from, begin } of windows) {
    const own = places.slice(from, from + ids.length - begin - 1).map((each, at) => ({ ...each, token: begin + at }));
    const rows = HEADS.question_answering.rows(await pipe.model(inputs));
    read.push(searchWindow(rows, own.filter(({ word }) => word >= 0), bundle.task.max_answer_tokens ?? LONGEST));
  }
  const spans = together(read.flatMap((each) => each.spans), text);
  const none = Math.min(...read.map((each) => each.none));
  const threshold = bundle.task.no_answer ?? null;
  const more = { kind: 'span', tokens, truncated, windows: windows.length };
  if (!spans.length || (threshold !== null && none - spans[0].score > threshold)) {
    return { ...more, start: null, end: null, score: none };
  }
  return { ...more, ...spans[0] };
}

/** Find the best spans of one window, as edgeroberta/tasks/span_search.py does; `own`: its tokens of the passage. */
function searchWindow(rows, own, longest) {
  const [starts, ends] = [0, 1].map((side) => softmax([rows[0][side], ...own.map(({ token }) => rows[token][side])]));
  const found = [];
  for (let first = 0; first < own.length; first += 1) {
    for (let last = first; last < Math.min(own.length, first + longest); last += 1) {
      found.push({ first, last, score: starts[first + 1] * ends[last + 1] });
    }
  }
  found.sort((a, b) => b.score - a.score);
  const spans = found.slice(0, 12).map(({ first, last, score }) => ({ ...wholeWords(own, first, last), score }));
  return { spans, none: starts[0] * ends[0] };
}

/** Add up spans of the same words, the best first. */
function together(spans, text) {
  const found = new Map();
  for (const { start, end, score } of spans.filter((each) => each.start < each.end)) {
    const same = text.slice(start, end).toLowerCase();
    const known = found.get(same) ?? { start, end, score: 0 };
    found.set(same, { ...known, score: known.score + score });
  }
  return [...found.values()].sort((a, b) => b.score - a.score);
}

function wholeWords(own, first, last) {
  let [begin, stop] = [first, last];
  while (begin > 0 && own[begin - 1].word === own[begin].word) begin -= 1;
  while (stop + 1 < own.length && own[stop + 1].word === own[stop].word) stop += 1;
  return { start: own[begin].start, end: own[stop].end };
}

function bestOf(row, count) {
  const chosen = [];
  for (let id = 0; id < row.length; id += 1) {
    if (chosen.length === count && row[id] <= row[chosen.at(-1)]) continue;
    const place = chosen.findIndex((other) => row[id] > row[other]);
    chosen.splice(place < 0 ? chosen.length : place, 0, id);
    if (chosen.length > count) chosen.pop();
  }
  return chosen;
}

const named = ({ task }, scores) => task.labels.map((label, place) => ({ label, score: scores[place] }));
const best = (scores) => scores.reduce((one, other) => (other.score > one.score ? other : one));

function softmax(row) {
  const top = row.reduce((a, b) => Math.max(a, b));
  const powers = row.map((value) => Math.exp(value - top));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / total);
}
