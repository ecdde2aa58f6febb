// Entities in a text, read from the labels of its tokens as edgeroberta/tasks/entities.py reads them.

const OUTSIDE = 'O';
const FOUR = [{ B: 'B', I: 'I', E: 'E', S: 'S' }, { B: 'B', I: 'I', L: 'E', U: 'S' }];
const TWO = { B: 'B', I: 'I' };

/**
 * Read entities.
 *
 * @param {string[]} labels The task's.
 * @param {string} aggregation How tokens become words: simple, first, average or max.
 * @param {number[][]} rows Logits of each token.
 * @param {{start: number, end: number, word: number}[]} places What each token stands for.
 * @returns {{label: string, start: number, end: number, score: number}[]} In the order of the text.
 */
export function readEntities(labels, aggregation, rows, places) {
  const tags = readTags(labels);
  const tokens = places.flatMap((place, row) => (place.word < 0 ? [] : [{ ...place, row: softmax(rows[row]) }]));
  const units = UNITS[aggregation](tokens);
  const runs = [];
  let before = { prefix: OUTSIDE, kind: null };
  for (const unit of units) {
    const tag = tags[unit.best];
    if (tag.prefix !== OUTSIDE) {
      const begins = tag.kind !== before.kind || 'BS'.includes(tag.prefix) || 'ES'.includes(before.prefix);
      if (begins) runs.push({ kind: tag.kind, units: [] });
      runs.at(-1).units.push(unit);
    }
    before = tag;
  }
  return runs
    .map(({ kind, units: own }) => ({
      label: kind,
      start: own[0].start,
      end: own.at(-1).end,
      score: own.reduce((sum, { score }) => sum + score, 0) / own.length,
    }))
    .filter(({ start, end }) => start < end);
}

const rated = (row, { start, end }) => {
  const best = row.indexOf(Math.max(...row));
  return { best, score: row[best], start, end };
};

/** Words of tokens, each rated by a row that is made of those of its tokens. */
const words = (choose) => (tokens) => {
  const groups = [];
  for (const token of tokens) {
    if (groups.length && groups.at(-1)[0].word === token.word) groups.at(-1).push(token);
    else groups.push([token]);
  }
  return groups.map((own) => rated(choose(own.map(({ row }) => row)), { start: own[0].start, end: own.at(-1).end }));
};

const UNITS = {
  simple: (tokens) => tokens.map((token) => rated(token.row, token)),
  first: words(([row]) => row),
  average: words((rows) => rows[0].map((_, label) => rows.reduce((sum, row) => sum + row[label], 0) / rows.length)),
  max: words((rows) => rows.reduce((one, other) => (Math.max(...other) > Math.max(...one) ? other : one))),
};

/** Read labels as tags: BIOES or BILOU where a type has a beginning and an end, else IOB. */
function readTags(labels) {
  const of = (marks, wanted) =>
    new Set(labels.filter((label) => wanted.includes(marks[label[0]]) && ['', '-'].includes(label.slice(1, 2))).map((label) => label.slice(1)));
  let marks = TWO;
  for (const four of FOUR) {
    const ended = of(four, ['E', 'S']);
    if ([...of(four, ['B'])].some((kind) => ended.has(kind))) marks = four;
  }
  const bare = labels.includes('B') && labels.every((label) => label === OUTSIDE || label in marks);
  return labels.map((label) => {
    if (label === OUTSIDE) return { prefix: OUTSIDE, kind: null };
    if (bare) return { prefix: marks[label], kind: '_' };
    if (label[0] in marks && label[1] === '-' && label.length > 2) return { prefix: marks[label[0]], kind: label.slice(2) };
    return { prefix: 'I', kind: label };
  });
}

function softmax(row) {
  const top = Math.max(...row);
  const powers = row.map((value) => Math.exp(value - top));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / total);
}
