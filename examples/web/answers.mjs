// What a model says of texts, as edgeroberta's own runtime reads it, by kind of task.

import { BundleError } from './bundle.mjs';
import { readEntities } from './entities.mjs';
import { HEADS } from './heads.mjs';

const LONGEST = 15; // tokens of an answer, where the bundle does not say
const SHOWN = 5; // suggestions for a mask

/**
 * Ask texts.
 *
 * @param {object} opened `pipe`: the library's pipeline; `bundle`: what `readBundle` returned; `place`: see `placer`.
 * @param {string[]} texts One text, or two of a pair.
 * @returns {Promise<object>} The answer, whose `kind` says what else it has: see each function below; and
 *   `tokens`: how many were read, and `truncated`: whether the text was longer than that.
 */
export async function ask(opened, texts) {
  const problem = opened.bundle.task.problem;
  if (problem === 'sentence_similarity') return similarity(opened, texts);
  const { inputs, ids, truncated } = tokensOf(opened, ...texts);
  // Of no mask there is nothing to compute, and the graph says so with an error.
  if (problem === 'fill_mask' && !ids.includes(opened.bundle.task.mask_id)) return { kind: 'masks', masks: [], tokens: ids.length, truncated };
  const output = await opened.pipe.model(inputs);
  return { ...READERS[problem]({ ...opened, output, ids, texts }), tokens: ids.length, truncated };
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
  /** `start`, `end` in the passage and `score` of the answer; null where there is none, with the `score` of that. */
  question_answering(asked) {
    const { spans, none } = searchSpans(asked);
    const threshold = asked.bundle.task.no_answer ?? null;
    if (!spans.length || (threshold !== null && none - spans[0].score > threshold)) {
      return { kind: 'span', start: null, end: null, score: none };
    }
    return { kind: 'span', ...spans[0] };
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
async function similarity(opened, texts) {
  const { bundle, pipe } = opened;
  const found = [];
  for (const text of texts) {
    const made = tokensOf(opened, bundle.prompt + text);
    found.push({ ...made, vector: (await pipe.model(made.inputs)).sentence_embedding.tolist()[0] });
  }
  const measure = bundle.task.similarity ?? 'cosine';
  return {
    kind: 'similarity',
    measure,
    value: SIMILARITIES[measure](...found.map(({ vector }) => vector)),
    tokens: found.reduce((sum, { ids }) => sum + ids.length, 0),
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

/** Tokenize. Too long a text loses its end and keeps its last special token; the library drops that (4.3.2). */
function tokensOf({ pipe, bundle }, text, pair = null) {
  const inputs = pipe.tokenizer(text, { text_pair: pair });
  const ids = inputs.input_ids.tolist()[0].map(Number);
  const most = bundle.manifest.max_length;
  if (ids.length <= most) return { inputs, ids, truncated: false };
  if (pair !== null) throw new BundleError(`the texts are ${ids.length} tokens, and the model reads ${most}`, 'shorten them');
  const Tensor = inputs.input_ids.constructor;
  const cut = Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]) => {
      const values = tensor.tolist()[0].map(BigInt);
      return [name, new Tensor('int64', BigInt64Array.from([...values.slice(0, most - 1), values.at(-1)]), [1, most])];
    }),
  );
  return { inputs: cut, ids: [...ids.slice(0, most - 1), ids.at(-1)], truncated: true };
}

/** Find the best spans of a passage, as edgeroberta/tasks/span_search.py does. */
function searchSpans(asked) {
  const { pipe, bundle, ids, texts, place } = asked;
  const rows = rowsOf(asked);
  const separator = Number(pipe.tokenizer.sep_token_id);
  let from = ids.indexOf(separator) + 1;
  while (ids[from] === separator) from += 1;
  const places = place(texts[1], ids.slice(from, -1), true).map((each, at) => ({ ...each, token: from + at }));
  const own = places.filter(({ word }) => word >= 0);
  const [starts, ends] = [0, 1].map((side) => softmax([rows[0][side], ...own.map(({ token }) => rows[token][side])]));
  const found = [];
  for (let start = 0; start < own.length; start += 1) {
    for (let end = start; end < Math.min(own.length, start + (bundle.task.max_answer_tokens ?? LONGEST)); end += 1) {
      found.push({ first: start, last: end, score: starts[start + 1] * ends[end + 1] });
    }
  }
  found.sort((a, b) => b.score - a.score);
  const spans = new Map(); // spans of the same words add up
  for (const { first, last, score } of found.slice(0, 12)) {
    const { start, end } = wholeWords(own, first, last);
    if (start >= end) continue;
    const same = texts[1].slice(start, end).toLowerCase();
    const known = spans.get(same) ?? { start, end, score: 0 };
    spans.set(same, { ...known, score: known.score + score });
  }
  return { spans: [...spans.values()].sort((a, b) => b.score - a.score), none: starts[0] * ends[0] };
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
