// The page: what is typed is asked, and the newest answer is shown. Texts are written as text, never as HTML.

import * as answerer from './answerer.mjs';
import { newestOnly } from './newest.mjs';
import { FORMS, latencyOf, show, spoken } from './show.mjs';

const PAUSE = 30; // ms without a key before a text is asked: less than most answers take
const SILENCE = 700; // ms without an answer before one is read out

const at = (id) => document.getElementById(id);

let form = null;
let fields = [];
let prompt = null; // the list of what stands in front of texts, where there is one
let pausing = 0;
let silent = 0;

const questions = newestOnly(({ texts, prompt: name }) => answerer.ask(texts, name), told);

async function start() {
  performance.mark('start');
  at('privacy').textContent = answerer.privacy;
  at('goldens').hidden = !answerer.replay;
  at('loading').hidden = false;
  at('loading-text').textContent = 'Loading the bundle';
  try {
    opened(await answerer.open(loading));
  } catch (error) {
    fail(error);
  }
}

function loading(done, total) {
  at('loading-bar').value = done / total;
  at('loading-text').textContent = done < total ? `Loading the bundle, ${(total / 1e6).toFixed(0)} MB` : 'Opening the model';
}

function opened(found) {
  performance.measure('open', 'start');
  at('loading').hidden = true;
  at('work').hidden = false;
  form = FORMS[found.task.problem](found.task);
  at('name').textContent = found.name;
  at('task').textContent = form.title;
  document.title = found.name === 'EdgeRoBERTa' ? found.name : `${found.name} – EdgeRoBERTa`;
  showFacts(found);
  makeFields(found);
  question();
}

/** Show what came of a question; a text that has changed since has no answer yet. */
function told({ question: { texts, typed }, answer, error, sent, current }) {
  const now = performance.now();
  if (current) {
    at('again').hidden = !error?.again;
    at('answer').replaceChildren(...(error ? [paragraph(sentences(error))] : show(answer, texts)));
    at('latency').textContent = error ? '' : latencyOf(answer, now - sent);
    speak(error ? sentences(error) : spoken(answer, texts));
    busy(pausing !== 0); // a key may have come since
  }
  if (error) return;
  performance.measure('answer', { start: sent, end: now });
  performance.measure('typed', { start: typed, end: now });
}

function fail({ message, hint }) {
  at('loading').hidden = true;
  at('work').hidden = true;
  at('problem').hidden = false;
  at('problem-what').textContent = sentence(message);
  at('problem-next').hidden = !hint;
  // Each word in a box of its own: options are not to be cut at their dashes.
  const boxes = (hint ?? '').split(' ').map((word) => made('span', { textContent: word }));
  at('problem-hint').replaceChildren(...boxes.flatMap((box) => [box, ' ']));
}

/** Make the fields of the texts, with those of a golden in them. */
function makeFields({ samples, mask, task, prompts, prompt: usual }) {
  const texts = examples(samples, form.fields.length);
  fields = form.fields.map(({ label, rows }, place) => {
    const field = made('textarea', { id: `text-${place}`, rows, value: texts[place] ?? '' });
    field.spellcheck = false;
    field.addEventListener('input', typing);
    addField(label, field);
    return field;
  });
  if (prompts.length) {
    const options = ['', ...prompts].map((value) => made('option', { value, textContent: value || 'nothing' }));
    prompt = made('select', { id: 'prompt' });
    prompt.append(...options);
    prompt.value = usual ?? '';
    prompt.addEventListener('change', () => question());
    addField('Put in front of both texts', prompt);
  }
  if (task.problem === 'fill_mask') addMaskButton(mask);
  fields[0].focus();
}

function addField(label, field) {
  const group = made('div', { className: 'field' });
  group.append(made('label', { htmlFor: field.id, textContent: label }), field);
  at('texts').append(group);
}

function typing() {
  const typed = performance.now();
  busy(true);
  clearTimeout(pausing);
  pausing = setTimeout(() => question(typed), PAUSE);
}

/** Choose goldens to begin with: texts that are neither short nor long, of one golden where it is a pair. */
function examples(samples, count) {
  const fit = samples.map((each) => [each].flat()).filter((each) => each.every((text) => text.trim().length > 1 && text.length < 300));
  fit.sort((a, b) => Number(b.at(-1).length > 20) - Number(a.at(-1).length > 20));
  return (fit.find((each) => each.length === count) ?? fit.slice(0, count).map(([text]) => text)).slice(0, count);
}

function addMaskButton(mask) {
  const button = made('button', { type: 'button', id: 'mask', textContent: `Insert ${mask}` });
  button.addEventListener('click', () => {
    const [field] = fields;
    field.setRangeText(mask, field.selectionStart, field.selectionEnd, 'end');
    field.focus();
    question();
  });
  at('texts').append(button);
}

/** Ask what is in the fields now. */
function question(typed = performance.now()) {
  clearTimeout(pausing);
  pausing = 0;
  const texts = fields.map((field) => field.value);
  if (texts.every((text) => text.trim())) {
    busy(true);
    questions.put({ texts, typed, prompt: prompt && prompt.value });
    return;
  }
  questions.drop();
  at('again').hidden = true;
  at('answer').replaceChildren(paragraph(form.empty));
  at('latency').textContent = '';
  busy(false);
}

/** Say that what stands there is not the answer to the texts, or is. */
function busy(waiting) {
  at('answer').ariaBusy = String(waiting);
}

function speak(text) {
  clearTimeout(silent);
  silent = setTimeout(() => {
    at('spoken').textContent = text;
  }, SILENCE);
}

function showFacts({ task, facts }) {
  const opening = `${Math.round(performance.getEntriesByName('open').at(-1).duration)} ms`;
  const rows = { Task: task.problem.replaceAll('_', ' '), ...facts, 'Opened in': opening };
  for (const [name, value] of Object.entries(rows)) {
    at('facts').append(made('dt', { textContent: name }), made('dd', { textContent: value }));
  }
}

const made = (name, properties) => Object.assign(document.createElement(name), properties);
const paragraph = (text) => made('p', { className: 'quiet', textContent: text });
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
const sentences = ({ message, hint }) => [message, hint].filter(Boolean).map(sentence).join(' ');

at('texts').addEventListener('submit', (event) => event.preventDefault());
at('again').addEventListener('click', () => {
  fields[0].focus(); // the button goes
  question();
});
at('replay').addEventListener('click', async () => {
  at('replay').disabled = true;
  at('replayed').textContent = 'Asking';
  at('replayed').textContent = await answerer.replay().catch(({ message }) => message);
  at('replay').disabled = false;
});
start();
