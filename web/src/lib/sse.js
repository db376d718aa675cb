// Server-Sent Events (WHATWG HTML, section 9.2.6), parsed by ourselves: EventSource cannot send the header Authorization, and
// a token has no place in a URL.

// maxEvent is how many characters one event may have: a stream that never ends one must not fill the memory.
export const maxEvent = 4 << 20;

/**
 * Parser takes the text of a stream in pieces, however they are cut, and hands over each event as {type, data, id}.
 */
export class Parser {
  #onEvent;
  #rest = ''; // of a line that has not ended
  #begun = false;
  #skipNewline = false; // the piece before ended in a carriage return
  #type = '';
  #data = [];
  #size = 0;
  lastId = '';

  constructor(onEvent) {
    this.#onEvent = onEvent;
  }

  push(piece) {
    if (!this.#begun && piece !== '') {
      this.#begun = true;
      if (piece.charCodeAt(0) === 0xfeff) piece = piece.slice(1);
    }
    if (this.#skipNewline && piece !== '') {
      this.#skipNewline = false;
      if (piece[0] === '\n') piece = piece.slice(1);
    }
    let from = 0;
    for (let i = 0; i < piece.length; i++) {
      const c = piece.charCodeAt(i);
      if (c !== 10 && c !== 13) continue;
      this.#line(this.#rest + piece.slice(from, i));
      this.#rest = '';
      if (c === 13) {
        if (i + 1 === piece.length) this.#skipNewline = true;
        else if (piece.charCodeAt(i + 1) === 10) i++;
      }
      from = i + 1;
    }
    this.#rest += piece.slice(from);
    if (this.#rest.length + this.#size > maxEvent) throw new Error('an event of the stream is too long');
  }

  #line(line) {
    if (line === '') {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return; // a comment, which keeps the connection alive
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value[0] === ' ') value = value.slice(1);
    switch (field) {
      case 'event':
        this.#type = value;
        break;
      case 'data':
        this.#size += value.length + 1;
        if (this.#size > maxEvent) throw new Error('an event of the stream is too long');
        this.#data.push(value);
        break;
      case 'id':
        if (!value.includes('\0')) this.lastId = value;
        break;
    }
  }

  #dispatch() {
    const type = this.#type || 'message';
    const data = this.#data;
    this.#type = '';
    this.#data = [];
    this.#size = 0;
    if (data.length > 0) this.#onEvent({ type, data: data.join('\n'), id: this.lastId });
  }
}
