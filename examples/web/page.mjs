// The page: what is typed goes to the worker, and what it answers is shown. Texts are written as text, never as HTML.

import { FORMS, show, spoken } from './show.mjs';

const PAUSE = 30; // ms without a key before a text is asked: less than a worker takes for most
const SILENCE = 700; // ms without an answer before one is read out
const MOST_THREADS = 4;
// A module with one function that adds vectors: whether the browser compiles it says whether it has SIMD.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 9, 1, 7, 0, 65, 0, 253, 15, 26, 11];

const at = (id) => document.getElementById(id);
const wanted = new URLSearchParams(location.search);
const base = new URL(`${(wanted.get('bundle') ?? 'bundle').replace(/\/+$/, '')}/`, location.href);

let worker = null;
let form = null;
let fields = [];
let asked = null; // the question that the worker has
let next = null; // the newest one, which waits for it
let number = 0;
let pausing = 0;
let silent = 0;

function start() {
  const missing = lacking();
  if (missing) return fail(missing);
  performance.mark('start');
  at('loading').hidden = false;
  at('loading-text').textContent = 'Loading the bundle';
  worker = new Worker(new URL('worker.mjs', import.meta.url), { type: 'module' });
  worker.addEventListener('message', ({ data }) => HEARD[data.kind](data));
  worker.addEventListener('error', () => fail({ what: 'the worker of this page does not start', hint: 'reload the page' }));
  worker.postMessage({ kind: 'open', base: base.href, threads: threads() });
}

/** Say what keeps this page from working here; null: nothing. */
function lacking() {
  if (typeof WebAssembly !== 'object' || !WebAssembly.validate(new Uint8Array(SIMD))) {
    return { what: 'this browser has no WebAssembly with SIMD, which the engine needs', hint: 'use a browser of 2023 or later' };
  }
  if (base.origin !== location.origin) {
    return { what: 'the bundle has to be on the server of this page', hint: 'name it by its path: ?bundle=models/out' };
  }
  return null;
}

/** Several threads take memory that is shared, which browsers give to isolated pages alone; one core is the page's. */
function threads() {
  const cores = navigator.hardwareConcurrency ?? 1;
  const asked = Number(wanted.get('threads'));
  if (!crossOriginIsolated) return 1;
  return Number.isInteger(asked) && asked > 0 ? Math.min(asked, cores) : Math.max(1, Math.min(MOST_THREADS, cores - 1));
}

const HEARD = {
  loading({ done, total }) {
    at('loading-bar').value = done / total;
    at('loading-text').textContent = done < total ? `Loading the bundle, ${megabytes(total)}` : 'Opening the model';
  },
  opened(facts) {
    performance.measure('open', 'start');
    at('loading').hidden = true;
    at('work').hidden = false;
    form = FORMS[facts.task.problem](facts.task);
    at('name').textContent = nameOf(base);
    at('task').textContent = form.title;
    document.title = `${nameOf(base)} – EdgeRoBERTa`;
    showFacts(facts);
    makeFields(facts);
    question();
  },
  answer(message) {
    const { texts, sent, typed, stale } = asked;
    asked = null;
    const now = performance.now();
    // A text that has changed since has no answer yet.
    if (next === null && !stale) {
      at('answer').replaceChildren(...show(message.answer, texts));
      at('latency').textContent = latencyOf(message.answer, now - sent);
      speak(spoken(message.answer, texts));
      busy(pausing !== 0); // a key may have come since
    }
    performance.measure('answer', { start: sent, end: now });
    performance.measure('typed', { start: typed, end: now });
    hurry();
  },
  replayed({ agree, of, difference, atol }) {
    at('replay').disabled = false;
    at('replayed').textContent = `${agree} of ${of} agree; the largest difference is ${difference.toExponential(1)}, allowed are ${atol}`;
  },
  failed({ during, what, hint }) {
    if (during === 'open') return fail({ what, hint });
    if (during === 'replay') {
      at('replay').disabled = false;
      at('replayed').textContent = what;
      return undefined;
    }
    const { stale } = asked;
    asked = null;
    if (next === null && !stale) {
      const said = hint ? `${what}: ${hint}` : what;
      at('answer').replaceChildren(paragraph(said));
      at('latency').textContent = '';
      speak(said);
      busy(pausing !== 0);
    }
    return hurry();
  },
};

function fail({ what, hint }) {
  at('loading').hidden = true;
  at('work').hidden = true;
  at('problem').hidden = false;
  at('problem-what').textContent = `${what[0].toUpperCase()}${what.slice(1)}.`;
  at('problem-next').hidden = !hint;
  // Each word in a box of its own: options are not to be cut at their dashes.
  const boxes = (hint ?? '').split(' ').map((word) => Object.assign(document.createElement('span'), { textContent: word }));
  at('problem-hint').replaceChildren(...boxes.flatMap((box) => [box, ' ']));
}

/** Make the fields of the texts, with those of a golden in them. */
function makeFields({ samples, mask, task }) {
  const texts = examples(samples, form.fields.length);
  fields = form.fields.map(({ label, rows }, place) => {
    const field = Object.assign(document.createElement('textarea'), { id: `text-${place}`, rows, value: texts[place] ?? '' });
    field.spellcheck = false;
    field.addEventListener('input', () => {
      const typed = performance.now();
      busy(true);
      clearTimeout(pausing);
      pausing = setTimeout(() => {
        pausing = 0;
        question(typed);
      }, PAUSE);
    });
    const name = Object.assign(document.createElement('label'), { htmlFor: field.id, textContent: label });
    const group = Object.assign(document.createElement('div'), { className: 'field' });
    group.append(name, field);
    at('texts').append(group);
    return field;
  });
  if (task.problem === 'fill_mask') addMaskButton(mask);
  fields[0].focus();
}

/** Choose goldens to begin with: texts that are neither short nor long, of one golden where it is a pair. */
function examples(samples, count) {
  const fit = samples.map((each) => [each].flat()).filter((each) => each.every((text) => text.trim().length > 1 && text.length < 300));
  fit.sort((a, b) => Number(b.at(-1).length > 20) - Number(a.at(-1).length > 20));
  return (fit.find((each) => each.length === count) ?? fit.slice(0, count).map(([text]) => text)).slice(0, count);
}

function addMaskButton(mask) {
  const button = Object.assign(document.createElement('button'), { type: 'button', id: 'mask', textContent: `Insert ${mask}` });
  button.addEventListener('click', () => {
    const [field] = fields;
    field.setRangeText(mask, field.selectionStart, field.selectionEnd, 'end');
    field.focus();
    question();
  });
  at('texts').append(button);
}

/** Ask what is in the fields now; a question that still waits is forgotten. */
function question(typed = performance.now()) {
  const texts = fields.map((field) => field.value);
  busy(true);
  if (texts.some((text) => !text.trim())) {
    next = null;
    if (asked) asked.stale = true;
    at('answer').replaceChildren(paragraph(form.empty));
    at('latency').textContent = '';
    busy(false);
    return;
  }
  next = { texts, typed };
  if (!asked) hurry();
}

function hurry() {
  if (next === null) return;
  number += 1;
  asked = { ...next, sent: performance.now() };
  next = null;
  worker.postMessage({ kind: 'ask', number, texts: asked.texts });
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

function showFacts({ task, precision, bytes, digest, verdict, checked, versions, threads: used }) {
  const rows = {
    Bundle: base.pathname,
    Task: task.problem.replaceAll('_', ' '),
    Model: `${precision}, ${megabytes(bytes)}`,
    Gate: verdict ?? 'not judged',
    Digest: digest.slice(0, 16),
    Files: checked ? 'as the manifest lists them' : 'not checked: browsers do that on loopback and over https alone',
    Engine: `onnxruntime-web ${versions.onnxruntime}, WebAssembly`,
    Library: `transformers.js ${versions.transformers}`,
    Threads: crossOriginIsolated ? String(used) : '1: the page is not cross-origin isolated',
    'Opened in': `${Math.round(performance.getEntriesByName('open').at(-1).duration)} ms`,
  };
  for (const [name, value] of Object.entries(rows)) {
    const term = Object.assign(document.createElement('dt'), { textContent: name });
    at('facts').append(term, Object.assign(document.createElement('dd'), { textContent: value }));
  }
}

function latencyOf({ tokens, truncated }, milliseconds) {
  const read = truncated ? `the first ${tokens} tokens; the rest was not read` : `${tokens} tokens`;
  return `${milliseconds.toFixed(0)} ms, ${read}`;
}

const paragraph = (text) => Object.assign(document.createElement('p'), { className: 'quiet', textContent: text });
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
const nameOf = ({ pathname }) => decodeURIComponent(pathname.split('/').at(-2) || 'bundle');

at('texts').addEventListener('submit', (event) => event.preventDefault());
at('replay').addEventListener('click', () => {
  at('replay').disabled = true;
  at('replayed').textContent = 'Asking';
  worker.postMessage({ kind: 'replay' });
});
start();
