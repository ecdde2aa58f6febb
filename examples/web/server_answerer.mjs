// Answers from the server of this page, `edgeroberta serve`: the same functions as answerer.mjs has.

const PATIENCE = 10; // seconds beyond those that the server itself gives an answer
// What the server says is for programs; to whoever types some of it is said otherwise.
const SAID = {
  'queue-full': ['the server is busy: as many texts wait as may', 'ask again in a second'],
  'too-many-connections': ['the server is busy: as many programs ask it as may', 'ask again in a second'],
  'answer-timeout': ['the server had no answer in time', 'shorten the text, or ask again'],
  'body-too-large': ['the text is larger than this server takes', 'shorten it'],
  'text-too-long': ['the text is longer than the model reads, and this server refuses such texts', 'shorten it'],
  'question-too-long': ['the question leaves too little of what the model reads to the passage', 'shorten it'],
};

let about = null;

export const privacy = 'Texts go to the server of this page, and nowhere else.';

/** Ask the server what it answers with; see `open` in answerer.mjs. */
export async function open() {
  about = await received('about', { signal: AbortSignal.timeout(1000 * PATIENCE) });
  const { task, mask_token: mask, prompts, default_prompt: prompt } = about;
  return { name: 'EdgeRoBERTa', task, mask, samples: [], prompts, prompt, facts: factsOf(about) };
}

export async function ask(texts, prompt) {
  // Of no mask there is nothing to ask.
  if (about.mask_token !== null && !texts[0].includes(about.mask_token)) return { kind: 'masks', masks: [] };
  const { predictions } = await received('predict', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(bodyOf(texts, prompt)),
    signal: AbortSignal.timeout(1000 * (about.timeout + PATIENCE)),
  });
  const [said] = predictions;
  const { truncated, windows = 1, tier = null } = said;
  return { ...READERS[about.task.problem](said, texts), truncated, windows, tier, most: about.max_length };
}

/** The server checks its goldens itself, once on each machine. */
export const replay = null;

function bodyOf([text, second], prompt) {
  if (about.task.problem === 'question_answering') return { question: text, context: second };
  return { text, ...(second === undefined ? {} : { text_pair: second }), ...(prompt === null ? {} : { prompt }) };
}

// Of what the server says, what show.mjs shows; see READERS in answers.mjs.
const READERS = {
  single_label_classification: ({ label, score, scores }) => ({ kind: 'label', label, score, scores: rowsOf(scores) }),
  multi_label_classification: ({ labels, scores }) => ({ kind: 'labels', applied: labels, scores: rowsOf(scores) }),
  regression: ({ score, scores }) => ({ kind: 'number', label: Object.keys(scores)[0], value: score }),
  token_classification({ entities }, [text]) {
    const at = unitsOf(text);
    return { kind: 'entities', entities: entities.map((each) => ({ ...each, start: at(each.start), end: at(each.end) })) };
  },
  question_answering({ answer, start, end, score }, [, passage]) {
    const at = unitsOf(passage);
    return answer === null ? { kind: 'span', start: null, end: null, score } : { kind: 'span', start: at(start), end: at(end), score };
  },
  fill_mask: ({ masks }) => ({ kind: 'masks', masks }),
  sentence_similarity: ({ similarity }) => ({ kind: 'similarity', measure: about.task.similarity ?? 'cosine', value: similarity }),
};

const rowsOf = (scores) => Object.entries(scores).map(([label, score]) => ({ label, score }));

/** The server counts code points, and JavaScript the units of UTF-16. */
function unitsOf(text) {
  const places = [];
  let place = 0;
  for (const character of text) {
    places.push(place);
    place += character.length;
  }
  return (point) => places[point] ?? place;
}

/** Ask the server, and return what it says, or throw why it says nothing. */
async function received(path, options) {
  let response;
  let found;
  try {
    response = await fetch(new URL(path, import.meta.url), { cache: 'no-store', ...options });
    found = await response.json();
  } catch (error) {
    if (error.name === 'TimeoutError') throw problem(SAID['answer-timeout'], true);
    if (error.name !== 'SyntaxError') throw problem(['the server does not answer', 'see whether it still runs, and ask again'], true);
  }
  if (response.ok && found !== undefined) return found;
  const { code, message, hint } = found?.error ?? { message: `the server answers ${response.status}`, hint: 'look at what it says in its log' };
  // What was refused as it is would be refused again.
  throw problem(SAID[code] ?? [message, hint], response.status >= 500);
}

const factsOf = ({ precision, gate, bundle, engine, engine_version: version, tiers, max_length: most, long_text: way, version: own }) => ({
  ...(precision ? { Model: precision, Gate: gate ?? 'not judged', Digest: bundle.slice(0, 16) } : {}),
  ...(tiers.length ? { Tiers: tiers.join(', ') } : {}),
  'Long texts': `${LONG[way]}, where they have more than ${most.toLocaleString('en')} tokens`,
  Engine: `${engine} ${version}`,
  Server: `edgeroberta ${own}`,
});

const LONG = { truncate: 'cut', windows: 'read in windows', refuse: 'refused' };

const problem = ([what, hint], again) => Object.assign(new Error(what), { hint, again });
