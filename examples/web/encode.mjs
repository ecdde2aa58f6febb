// Token ids as Python gives them. The library (4.3.2) cuts a long text together with the separator at its end, of a
// pair the second text alone, and takes an empty second text for none; so the special tokens are put around here.

/**
 * Tokenize a text, or a pair, for a model.
 *
 * @param {object} tokenizer One of the library's, of a model of the families RoBERTa, XLM-RoBERTa or BERT.
 * @param {string} text
 * @param {string} [pair] The second text.
 * @param {'longest' | 'second'} [cut] What is cut of a pair that is too long: of the longer text, or of the second one.
 * @returns {{inputs: object, ids: number[], truncated: boolean}} `inputs`: what the model takes, int64 [1, length].
 */
export function encode(tokenizer, text, pair, cut = 'longest') {
  const first = bare(tokenizer, text);
  const second = pair === undefined ? [] : bare(tokenizer, pair);
  const [start, middle, end] = frame(tokenizer, pair !== undefined);
  const room = tokenizer.model_max_length - start.length - middle.length - end.length;
  const fits = first.length + second.length <= room;
  const lengths = cut === 'second' ? [first.length, room - first.length] : longestFirst(first.length, second.length, room);
  if (!fits && lengths[1] < 0) throw new Error('the first text leaves no room for the second one');
  const [head, tail] = fits ? [first, second] : [first.slice(0, lengths[0]), second.slice(0, lengths[1])];
  const ids = [...start, ...head, ...middle, ...tail, ...end];
  return { inputs: inputsOf(tokenizer, ids), ids, truncated: !fits };
}

const bare = (tokenizer, text) => tokenizer.encode(text, { add_special_tokens: false });

/** Return the special tokens before, between and behind texts, from those around a text that is not empty. */
function frame(tokenizer, isPair) {
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
