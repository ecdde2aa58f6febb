// Token ids as Python gives them. The library (4.3.2) cuts a long text together with the separator at its end, of a
// pair the second text alone, and takes an empty second text for none; so the special tokens are put around here.

/**
 * Tokenize a text, or a pair, for a model.
 *
 * @param {object} tokenizer One of the library's, of a model of the families RoBERTa, XLM-RoBERTa or BERT.
 * @param {string} text
 * @param {string} [pair] The second text.
 * @param {'longest' | 'second'} [cut] What is cut of a pair that is too long: of the longer text, or of the second one.
 * @returns {Encoded}
 *
 * @typedef {{inputs: object, ids: number[], first: number[], tokens: number, truncated: boolean}} Encoded `inputs`: what
 *   the model takes, int64 [1, length]. `first`: ids of the first text. `tokens`: how many the texts have uncut, special
 *   ones included.
 */
export function encode(tokenizer, text, pair, cut = 'longest') {
  const { first, second, frame, room } = parts(tokenizer, text, pair);
  const tokens = tokenizer.model_max_length - room + first.length + second.length;
  const fits = first.length + second.length <= room;
  const lengths = cut === 'second' ? [first.length, room - first.length] : longestFirst(first.length, second.length, room);
  if (!fits && lengths[1] < 0) throw new Error('the first text leaves no room for the second one');
  const [head, tail] = fits ? [first, second] : [first.slice(0, lengths[0]), second.slice(0, lengths[1])];
  return { ...framed(tokenizer, frame, head, tail), first: head, tokens, truncated: !fits };
}

/**
 * Tokenize a question and its passage, which is read in windows where it is too long, as edgeroberta/runtime/questions.py
 * does it: the question stands whole in each.
 *
 * @param {number | null} stride Tokens of the passage that a window has in common with the next one; null: what does
 *   not fit is cut off.
 * @returns {null | {first: number[], passage: number[], windows: {inputs: object, ids: number[], from: number, begin: number}[], tokens:
 *   number, truncated: boolean}} `first`: ids of the question. `passage`: all its ids. Of a window: `from`, the first of them that it has, and
 *   `begin`, where that stands in the window; it has all up to its last special token. Null: the question leaves less
 *   than a quarter of the room to the passage.
 */
export function encodeQuestion(tokenizer, question, passage, stride) {
  const { first, second, frame, room } = parts(tokenizer, question, passage);
  const left = room - first.length;
  const fits = second.length <= left;
  if (!fits && left < Math.max(Math.floor(room / 4), 1)) return null;
  // Never more than half, so that each window has at least half of its tokens for itself.
  const overlap = stride === null ? 0 : Math.min(stride, Math.floor(left / 2));
  const starts = [0];
  if (!fits && stride !== null) {
    for (let start = left - overlap; start < second.length - overlap; start += left - overlap) starts.push(start);
  }
  const windows = starts.map((from) => ({
    ...framed(tokenizer, frame, first, second.slice(from, from + left)),
    from,
    begin: frame[0].length + first.length + frame[1].length,
  }));
  const tokens = tokenizer.model_max_length - left + second.length;
  return { first, passage: second, windows, tokens, truncated: !fits && stride === null };
}

function parts(tokenizer, text, pair) {
  const first = bare(tokenizer, text);
  const second = pair === undefined ? [] : bare(tokenizer, pair);
  const frame = frameOf(tokenizer, pair !== undefined);
  return { first, second, frame, room: tokenizer.model_max_length - frame.flat().length };
}

function framed(tokenizer, [start, middle, end], first, second) {
  const ids = [...start, ...first, ...middle, ...second, ...end];
  return { inputs: inputsOf(tokenizer, ids), ids };
}

const bare = (tokenizer, text) => tokenizer.encode(text, { add_special_tokens: false });

/** Return the special tokens before, between and behind texts, from those around a text that is not empty. */
function frameOf(tokenizer, isPair) {
  const probe = bare(tokenizer, 'a').length;
  const whole = tokenizer.encode('a', { text_pair: isPair ? 'a' : null });
  const special = whole.length - (isPair ? 2 : 1) * probe;
  if (!special) return [[], [], []];
  return [whole.slice(0, 1), isPair ? whole.slice(1 + probe, -1 - probe) : [], whole.slice(-1)];
}

/** Return how much is kept of two texts: as much of the longer one as of the shorter, at least (`longest_first`). */
function longestFirst(first, second, room) {
  let [shorter, longer] = [Math.min(first, second), Math.max(first, second)];
  longer = shorter > room ? shorter : Math.max(shorter, room - shorter);
  if (shorter + longer > room) {
    shorter = Math.floor(room / 2);
    longer = shorter + (room % 2);
  }
  return first > second ? [longer, shorter] : [shorter, longer];
}

function inputsOf(tokenizer, ids) {
  const Tensor = tokenizer('a').input_ids.constructor;
  const tensor = (values) => new Tensor('int64', BigInt64Array.from(values, BigInt), [1, ids.length]);
  return { input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) };
}
