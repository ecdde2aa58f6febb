// How questions and answers look, by kind of task. All texts go through textContent.

const SHOWN = 8; // labels

const ONE = (title) => () => ({ title, fields: [{ label: 'Text', rows: 5 }], empty: 'Type a text.' });
const TWO = (title) => ({
  title,
  fields: [{ label: 'First text', rows: 3 }, { label: 'Second text', rows: 3 }],
  empty: 'Type two texts.',
});
const TEXTS = (title) => (task) => (task.pair ? TWO(title) : ONE(title)());

/** Kinds of task, as a manifest calls them, to what is asked: a title, the fields, and what to do while they are empty. */
export const FORMS = {
  single_label_classification: TEXTS('One label for a text'),
  multi_label_classification: TEXTS('Any number of labels for a text'),
  regression: TEXTS('A number for a text'),
  token_classification: ONE('Entities in a text'),
  question_answering: () => ({
    title: 'Answers in a passage',
    fields: [{ label: 'Question', rows: 2 }, { label: 'Passage', rows: 7 }],
    empty: 'Type a question and a passage.',
  }),
  fill_mask: ONE('Words for a mask'),
  sentence_similarity: () => TWO('How alike two texts are'),
};

const SHOW = {
  label: ({ label, scores }) => [big(label), bars(ordered(scores), [label])],
  labels: ({ applied, scores }) => [big(applied.join(', ') || 'no label'), bars(ordered(scores), applied)],
  number: ({ label, value }) => [big(value.toPrecision(4)), quiet(label)],
  entities: ({ entities }, [text]) => [marked(text, entities), entities.length ? bars(named(entities, text), []) : quiet('No entities.')],
  span: ({ start, end, score }, [, passage]) =>
    start === null
      ? [big('no answer'), bars([{ label: 'no answer', score }], [])]
      : [big(passage.slice(start, end)), bars([{ label: 'confidence', score }], []), marked(passage, [{ start, end, label: '' }])],
  masks: ({ masks }) =>
    masks.length
      ? masks.flatMap((mask, place) => [
          ...(masks.length > 1 ? [quiet(`Mask ${place + 1}`)] : []),
          bars(mask.map(({ text, score }) => ({ label: text.trim() || '␣', score })), [mask[0].text.trim()]),
        ])
      : [quiet('There is no mask in the text.')],
  similarity: ({ value, measure }) => {
    if (measure !== 'cosine') return [big(value.toPrecision(4)), quiet(measure)];
    return [big(value.toFixed(3)), bars([{ label: measure, score: value }], [], (cosine) => cosine.toFixed(3))];
  },
};

/** Say how long an answer took and what of the texts it is of; `most`: tokens that the model reads at once. */
export function latencyOf({ tokens, most, truncated, windows, tier }, milliseconds) {
  const parts = [`${milliseconds.toFixed(0)} ms`];
  if (tier) parts.push(`answered by the tier ${tier}`);
  if (windows > 1) parts.push(`read in ${windows} windows of ${most} tokens`);
  else if (truncated) parts.push(`the first ${most} tokens; the rest was not read`);
  else if (tokens) parts.push(`${tokens} tokens`);
  return parts.join(', ');
}

/** Show an answer to texts: elements. */
export const show = (answer, texts) => SHOW[answer.kind](answer, texts);

const SPOKEN = {
  label: ({ label, score }) => `${label}, ${percent(score)}`,
  labels: ({ applied }) => applied.join(', ') || 'no label',
  number: ({ value }) => value.toPrecision(4),
  entities: ({ entities }, [text]) =>
    named(entities, text).map(({ label }) => label).join(', ') || 'no entities',
  span: ({ start, end, score }, [, passage]) => (start === null ? 'no answer' : `${passage.slice(start, end)}, ${percent(score)}`),
  masks: ({ masks }) => masks.map(([{ text, score }]) => `${text.trim()}, ${percent(score)}`).join('; ') || 'no mask',
  similarity: ({ value }) => value.toFixed(3),
};

/** Say an answer in words. */
export const spoken = (answer, texts) => SPOKEN[answer.kind](answer, texts);

const named = (entities, text) =>
  entities.map(({ label, start, end, score }) => ({ label: `${text.slice(start, end)} ${label}`, score }));
const ordered = (scores) => [...scores].sort((a, b) => b.score - a.score).slice(0, SHOWN);
const percent = (score) => `${(100 * score).toFixed(1)} %`;

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

const big = (text) => element('p', 'label', text);
const quiet = (text) => element('p', 'quiet', text);

/** A bar and a number for each row. */
function bars(rows, chosen, write = percent) {
  const items = rows.map(({ label, score }) => {
    const words = element('span', chosen.includes(label) ? 'chosen' : '', label);
    const bar = element('div', 'bar');
    bar.style.width = `${100 * Math.max(0, Math.min(1, score))}%`;
    const track = element('div', 'track', bar);
    track.ariaHidden = 'true';
    return element('li', '', element('div', 'row', words, element('span', 'number', write(score))), track);
  });
  return element('ul', 'scores', ...items);
}

/** A text with parts of it marked, each with its label behind. */
function marked(text, parts) {
  const made = element('p', 'marked');
  let place = 0;
  for (const { start, end, label } of parts) {
    made.append(text.slice(place, start));
    made.append(element('mark', '', text.slice(start, end), ...(label ? [element('span', 'tag', label)] : [])));
    place = end;
  }
  made.append(text.slice(place));
  return made;
}
