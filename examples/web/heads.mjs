// What each kind of model is asked with, and whether it says what a golden says.
// Needs nothing but what the caller opened with transformers.js; the same in Node and in a browser.

import { encode } from './encode.mjs';

/** Kinds of task, as a bundle's manifest calls them, to how the library asks such a model. */
export const HEADS = {
  single_label_classification: {
    pipeline: 'text-classification',
    rows: (output) => output.logits.tolist(),
    compare: (asked) => compareLabels(asked, softmax),
  },
  multi_label_classification: {
    pipeline: 'text-classification',
    rows: (output) => output.logits.tolist(),
    compare: (asked) => compareLabels(asked, (row) => row.map((logit) => 1 / (1 + Math.exp(-logit)))),
  },
  // The library's pipeline takes the softmax of the one number, which is always 1: the model itself is asked.
  regression: {
    pipeline: 'text-classification',
    rows: (output) => output.logits.tolist(),
    compare: async ({ found }) => ({ answer: found[0][0].toPrecision(4) }),
  },
  token_classification: {
    pipeline: 'token-classification',
    rows: (output) => output.logits.tolist()[0],
    compare: compareTokens,
  },
  question_answering: {
    pipeline: 'question-answering',
    rows: (output) => zip(output.start_logits.tolist()[0], output.end_logits.tolist()[0]),
    compare: compareSpans,
  },
  fill_mask: { pipeline: 'fill-mask', rows: maskRows, compare: compareMasks },
  sentence_similarity: {
    pipeline: 'feature-extraction',
    rows: (output) => output.sentence_embedding.tolist(),
    compare: compareEmbeddings,
  },
};

/**
 * Ask a golden, and compare.
 *
 * @param {object} pipe What `pipeline(HEADS[problem].pipeline, folder)` of the library returned.
 * @param {object} bundle What `readBundle` returned.
 * @param {object} golden One of its goldens.
 * @returns {Promise<{answer: string, difference: number, problems: string[]}>} `answer`: what is said, for people.
 *   `difference`: the largest one of a number of the model. `problems`: what differs by more than the bundle allows;
 *   none where all agrees.
 */
export async function askGolden(pipe, bundle, golden) {
  const head = HEADS[bundle.task.problem];
  const [text, pair] = Array.isArray(golden.input) ? golden.input : [bundle.prompt + golden.input];
  const cut = head.pipeline === 'question-answering' ? 'second' : 'longest';
  const { inputs, ids, truncated } = encode(pipe.tokenizer, text, pair, cut);
  if (ids.join() !== golden.ids.join()) {
    return { answer: '', difference: Infinity, problems: [`the tokenizer gives other tokens: ${ids.join(' ')}`] };
  }
  const found = head.rows(await pipe.model(inputs), ids, bundle, golden);
  const wanted = head.pipeline === 'fill-mask' ? golden.rows.map((row) => halves(row)[0]) : golden.rows;
  const difference = largestDifference(found, wanted);
  const problems = [];
  if (!(difference <= bundle.atol)) problems.push(`numbers differ by ${difference.toPrecision(3)}`);
  // The pipelines cut long texts otherwise, so of one that was cut the numbers are all that is compared.
  if (truncated) return { answer: 'cut, the model alone was asked', difference, problems };
  const asked = { pipe, bundle, golden, text, pair, ids, found, problems };
  const { answer } = await head.compare(asked);
  return { answer, difference, problems };
}

/** Labels of a text, with the scores of all of them. */
async function compareLabels({ pipe, bundle, golden, text, pair, found, problems }, scoresOf) {
  const names = bundle.task.labels;
  const wanted = scoresOf(golden.rows[0]);
  // The pipeline takes single texts alone: of a pair, its numbers are read here.
  let told = scoresOf(found[0]);
  if (pair === undefined) {
    const said = await pipe(text, { top_k: null });
    told = names.map((name) => said.find(({ label }) => label === name)?.score ?? NaN);
  }
  const chosen = (scores, row) =>
    bundle.task.problem === 'multi_label_classification'
      ? names.map((_, label) => (nearTie(bundle, [row[label], 0]) ? null : scores[label] > 0.5)).join()
      : nearTie(bundle, golden.rows[0]) ? '' : String(argmax(scores));
  if (chosen(told, golden.rows[0]) !== chosen(wanted, golden.rows[0])) problems.push('another label');
  compareScores(told, wanted, bundle, problems);
  const best = argmax(told);
  const labels = names.filter((_, label) => told[label] > 0.5);
  const several = bundle.task.problem === 'multi_label_classification';
  return { answer: several ? labels.join(', ') || 'none' : `${names[best]} ${told[best].toFixed(4)}` };
}

/** The label of each token. Special tokens, and those without a character, the pipeline leaves out. */
async function compareTokens({ pipe, bundle, golden, text, problems }) {
  const said = await pipe(text, { ignore_labels: [] });
  for (const { entity, score, index } of said) {
    const row = golden.rows[index];
    const wanted = softmax(row);
    const best = argmax(row);
    if (entity !== bundle.task.labels[best] && !nearTie(bundle, row)) {
      problems.push(`token ${index} is ${entity}, and was ${bundle.task.labels[best]}`);
    }
    compareScores([score], [wanted[bundle.task.labels.indexOf(entity)]], bundle, problems);
  }
  const entities = said.filter(({ entity }) => entity !== 'O');
  return { answer: `${said.length} tokens, ${entities.length} of them in entities` };
}

/** The answer in a context, by the pipeline's rule: the best begin and end behind the question, in this order. */
async function compareSpans({ pipe, bundle, golden, text, pair, ids, problems }) {
  const said = await pipe(text, pair);
  const { all_special_ids: special, sep_token_id: separator } = pipe.tokenizer;
  const first = ids.indexOf(Number(separator));
  const inside = ids.map((id, place) => place > first && !special.map(Number).includes(id));
  // The first token stays in the sums, as in the library.
  const kept = (side) => softmax(golden.rows.map((row, place) => (inside[place] || place === 0 ? row[side] : -Infinity)));
  const [starts, ends] = [kept(0), kept(1)];
  const spans = [];
  for (let start = 1; start < ids.length; start += 1) {
    for (let end = start; end < ids.length; end += 1) {
      if (inside[start] && inside[end]) spans.push({ start, end, score: starts[start] * ends[end] });
    }
  }
  spans.sort((a, b) => b.score - a.score);
  const decode = ({ start, end }) => pipe.tokenizer.decode(ids.slice(start, end + 1), { skip_special_tokens: true });
  // Two logits of a span may each differ by the tolerance, and so may those of the next best one.
  const close = spans.filter(({ score }) => Math.log(spans[0].score / score) <= 4 * bundle.atol);
  const wanted = close.find((span) => decode(span) === said.answer);
  if (!wanted) problems.push(`the answer is ${JSON.stringify(said.answer)}, and was ${JSON.stringify(decode(spans[0]))}`);
  else compareScores([said.score], [wanted.score], bundle, problems);
  return { answer: `${JSON.stringify(said.answer)} ${said.score.toFixed(4)}` };
}

/** Log-probabilities of the tokens that a golden names, at each mask. */
function maskRows(output, ids, bundle, golden) {
  const places = ids.flatMap((id, place) => (id === bundle.task.mask_id ? [place] : []));
  return places.map((place, mask) => {
    const logits = Array.from(output.logits[0][place].data);
    const top = logits.reduce((a, b) => Math.max(a, b));
    const total = top + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
    return halves(golden.rows[mask])[1].map((token) => logits[token] - total);
  });
}

/** The best tokens of the first mask, the only one that the pipeline fills. */
async function compareMasks({ pipe, bundle, golden, text, problems }) {
  const [logs, tokens] = halves(golden.rows[0]);
  const said = await pipe(text, { top_k: Math.min(5, tokens.length) });
  if (said[0].token !== tokens[0] && !nearTie(bundle, logs)) {
    problems.push(`the best token is ${said[0].token}, and was ${tokens[0]}`);
  }
  for (const { token, score } of said) {
    const place = tokens.indexOf(token);
    // A token that is not among the best that the golden names is no more likely than the last of them.
    compareScores([score], [Math.exp(logs[place < 0 ? logs.length - 1 : place])], bundle, problems);
  }
  return { answer: `${JSON.stringify(said[0].token_str)} ${said[0].score.toFixed(4)}` };
}

/** The vector; the pipeline pools by mean and first token, not by maximum. */
async function compareEmbeddings({ pipe, bundle, golden, text, pair, found, problems }) {
  const { pooling, normalize } = bundle.task;
  if (pair === undefined && pooling !== 'max') {
    const [vector] = (await pipe(text, { pooling, normalize })).tolist();
    compareScores(vector, golden.rows[0], bundle, problems);
  }
  return { answer: `[${found[0].slice(0, 3).map((value) => value.toFixed(3)).join(', ')}, …]` };
}

function compareScores(found, wanted, { atol }, problems) {
  const difference = largestDifference([found], [wanted]);
  // A probability moves by half of what its logits move by, at most.
  if (!(difference <= atol)) problems.push(`scores differ by ${difference.toPrecision(3)}`);
}

/** Tell whether the two largest numbers are too close for the tolerance to tell which is larger. */
function nearTie({ atol }, row) {
  const [first, second] = [...row].sort((a, b) => b - a);
  return first - second <= 2 * atol;
}

function largestDifference(found, wanted) {
  if (found.length !== wanted.length) return Infinity;
  const all = found.flatMap((row, number) =>
    row.length === wanted[number].length ? row.map((value, place) => Math.abs(value - wanted[number][place])) : [NaN],
  );
  return all.reduce((most, each) => (Number.isNaN(each) ? Infinity : Math.max(most, each)), 0);
}

function softmax(row) {
  const top = Math.max(...row);
  const powers = row.map((value) => Math.exp(value - top));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / total);
}

const argmax = (row) => row.indexOf(Math.max(...row));
const halves = (row) => [row.slice(0, row.length / 2), row.slice(row.length / 2)];
const zip = (first, second) => first.map((value, place) => [value, second[place]]);
