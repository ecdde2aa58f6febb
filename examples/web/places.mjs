// Which characters of a text its tokens stand for: the library's tokenizers do not say (4.3.2).

const UNKNOWN = ['<unk>', '[UNK]'];

// What tokenizers cut texts into before they look for pieces, by the kind of their file.
const CUTS = {
  ByteLevel: /'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu,
  WordPiece: /[\p{P}$+<=>^`|~]|[^\s\p{P}$+<=>^`|~]+/gu,
  Metaspace: /\S+/gu,
};
// Scripts without spaces, as edgeroberta/runtime/questions.py has them: there each token is a word.
const UNSPACED =
  /[\u0E00-\u0EFF\u1000-\u109F\u1100-\u11FF\u1780-\u17FF\u2E80-\uA4CF\uAC00-\uD7FF\uF900-\uFAFF\uFF00-\uFFEF\u{1F200}-\u{1F2FF}\u{20000}-\u{3FFFF}]/u;

/**
 * Make a function that places tokens.
 *
 * @param {object} file What is in `tokenizer.json`.
 * @param {object} tokenizer The library's tokenizer.
 * @returns {(text: string, ids: number[], cut?: boolean) => Place[]} For the tokens of a text, special ones among them
 *   or not. Words begin at spaces, or `cut`: as the tokenizer cuts a text.
 *
 * @typedef {{start: number, end: number, word: number}} Place First character of a token, the one after its last,
 *   and the number of its word; word -1: it stands for no characters.
 */
export function placer(file, tokenizer) {
  const pieces = new Map(Array.from(entriesOf(tokenizer.get_vocab()), ([piece, id]) => [Number(id), piece]));
  const special = new Set(tokenizer.all_special_ids.map(Number));
  const unknown = new Set(Array.from(pieces).flatMap(([id, piece]) => (UNKNOWN.includes(piece) ? [id] : [])));
  const kind = file.decoder?.type;
  const inside = kind === 'WordPiece' ? file.model.continuing_subword_prefix : null;
  const beginsAtSpace = (text, id, { start }) =>
    inside
      ? !pieces.get(id).startsWith(inside)
      : start === 0 || text.slice(start - 1, start + 1).includes(' ') || unknown.has(id);
  return (text, ids, cut = false) => {
    const find = kind === 'ByteLevel' ? bytesOf(text) : charactersOf(text, inside);
    const begins = cut ? beginsAtCut(text, CUTS[kind] ?? CUTS.Metaspace) : beginsAtSpace;
    let word = -1;
    const pieceOf = (id) => (unknown.has(id) || special.has(id) ? null : (pieces.get(id) ?? null));
    return ids.map((id, place) => {
      const ours = unknown.has(id) || !special.has(id);
      const span = ours ? find(pieceOf(id), pieceOf(ids[place + 1])) : null;
      if (!span) return { start: 0, end: 0, word: -1 };
      if (begins(text, id, span) || word < 0) word += 1;
      return { ...span, word };
    });
  };
}

/** Tell tokens that begin a word as a pattern cuts a text. */
function beginsAtCut(text, pattern) {
  const parts = Array.from(text.matchAll(pattern), ({ index, 0: part }) => ({ first: index, end: index + part.length }));
  let known = null;
  let alone = false;
  return (_, id, { start, end }) => {
    const part = parts.find((each) => each.first <= start && start < each.end) ?? null;
    const wasAlone = alone;
    alone = UNSPACED.test(text.slice(start, end));
    const same = part !== null && part === known && !alone && !wasAlone;
    known = part;
    return !same;
  };
}

const entriesOf = (vocabulary) => (vocabulary instanceof Map ? vocabulary : Object.entries(vocabulary));

/** Find pieces that spell bytes, as GPT-2's tokenizer does (its encoder.py, bytes_to_unicode). */
function bytesOf(text) {
  const bytes = [];
  const places = []; // of each byte, the character that it is of
  for (let place = 0; place < text.length; ) {
    const character = String.fromCodePoint(text.codePointAt(place));
    for (const byte of new TextEncoder().encode(character)) {
      bytes.push(byte);
      places.push(place);
    }
    place += character.length;
  }
  places.push(text.length);
  let next = 0;
  return (piece) => {
    if (piece === null) return null;
    let spelled = Array.from(piece, (character) => BYTES.get(character));
    // A space in front of the text is the tokenizer's.
    if (spelled[0] === 32 && bytes[next] !== 32) spelled = spelled.slice(1);
    let start = search(bytes, spelled, next);
    if (start < 0) return null;
    let end = start + spelled.length;
    next = end;
    while (start < end && isBlank(bytes[start])) start += 1;
    while (end > start && isBlank(bytes[end - 1])) end -= 1;
    // A piece may end inside a character, which is then its as well.
    while (end < bytes.length && places[end] === places[end - 1] && end > start) end += 1;
    return { start: places[start], end: places[end] };
  };
}

const isBlank = (byte) => byte === 32 || (byte >= 9 && byte <= 13);

const BYTES = new Map();
for (let byte = 0, more = 256; byte < 256; byte += 1) {
  const shown = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  BYTES.set(String.fromCodePoint(shown ? byte : more++), byte);
}

/** Find pieces that spell characters, whatever was done to their case and accents. */
function charactersOf(text, inside) {
  const bare = [];
  const places = [];
  for (let place = 0; place < text.length; ) {
    const character = String.fromCodePoint(text.codePointAt(place));
    for (const each of plain(character)) {
      bare.push(each);
      places.push([place, place + character.length]);
    }
    place += character.length;
  }
  const signsOf = (piece) => {
    const spelled = plain(inside && piece.startsWith(inside) ? piece.slice(inside.length) : piece.replaceAll('▁', ' '));
    return [...spelled].filter((character) => character !== ' ');
  };
  /** What the vocabulary does not have: a word of WordPiece, else all up to the next piece, or the next space. */
  const unknownLength = (from, following) => {
    let end = from + 1;
    if (inside && !isWord(bare[from])) return 1;
    const known = following === null || following.startsWith('▁') ? [] : signsOf(following);
    const goesOn = () =>
      inside ? isWord(bare[end]) : !/\s/u.test(bare[end]) && !(known.length && known.every((sign, at) => bare[end + at] === sign));
    while (end < bare.length && goesOn()) end += 1;
    return end - from;
  };
  let next = 0;
  return (piece, following) => {
    while (next < bare.length && /\s/u.test(bare[next])) next += 1;
    if (next >= bare.length) return null;
    let length = 0;
    if (piece === null) {
      length = unknownLength(next, following);
    } else {
      const signs = signsOf(piece);
      // A space by itself has the place of what follows it.
      if (!signs.length) return { start: places[next][0], end: places[next][1] };
      const found = search(bare, signs, next);
      if (found < 0) return null;
      next = found;
      length = signs.length;
    }
    const span = { start: places[next][0], end: places[next + length - 1][1] };
    next += length;
    return span;
  };
}

// A word of WordPiece: its tokenizer takes each Chinese character, and each other sign, by itself.
const isWord = (character) => /[\p{L}\p{N}]/u.test(character) && !/\p{Script=Han}/u.test(character);

/** Find signs in a row, not far behind a place; -1: not there. */
function search(all, signs, from) {
  for (let place = from; place < Math.min(all.length, from + 40); place += 1) {
    if (signs.every((sign, at) => all[place + at] === sign)) return place;
  }
  return -1;
}

const plain = (text) => text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
