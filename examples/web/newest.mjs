// One question at a time: while one is asked, only the newest of those that come waits, and what is told of the
// others is that they are no longer current.

/**
 * Make a queue of one place.
 *
 * @param {(question: object) => Promise<object>} ask Answers a question.
 * @param {(told: {question: object, answer?: object, error?: Error, sent: number, current: boolean}) => void} tell
 *   Told what came of each question that was asked. `sent`: when that was, on the clock of `performance.now()`.
 *   `current`: whether it is still the newest; an answer that is not must not be shown.
 * @returns {{put: (question: object) => void, drop: () => void}} `put` asks a question, at once or behind the one
 *   that is asked now; one that waited there is forgotten. `drop`: there is no question any more.
 */
export function newestOnly(ask, tell) {
  let latest = null;
  let waiting = false;
  let asking = false;

  async function go() {
    asking = true;
    try {
      while (waiting) {
        waiting = false;
        const question = latest;
        const sent = performance.now();
        const told = await ask(question).then((answer) => ({ answer }), (error) => ({ error }));
        tell({ question, ...told, sent, current: question === latest });
      }
    } finally {
      asking = false; // also where an answer cannot be shown, or nothing would be asked any more
    }
  }

  return {
    put(question) {
      latest = question;
      waiting = true;
      if (!asking) go();
    },
    drop() {
      latest = null;
      waiting = false;
    },
  };
}
