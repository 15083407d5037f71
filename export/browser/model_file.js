// What a recogniser's .tflite file says about itself: the JSON object of its metadata entry
// "int4_conformer".

const NAME = "int4_conformer";
const FORMAT = 1;
// Places of fields in the tables of TFLite's schema.
const MODEL = { buffers: 4, metadata: 6 };
const METADATA = { name: 0, buffer: 1 };
const BUFFER = { data: 0, offset: 1, size: 2 };

// The metadata of a file, a Uint8Array; throws an Error that says what is wrong with it.
export function metadataOf(content) {
  let entry;
  try {
    entry = entryOf(content);
  } catch (error) {
    // Offsets that lead outside of the file, or text that is no JSON.
    if (error instanceof RangeError || error instanceof SyntaxError) {
      throw new Error("The model is damaged, or no .tflite file; export it again.");
    }
    throw error;
  }
  if (entry === null) {
    throw new Error("The model is no recogniser; take a file that `int4-conformer export` wrote.");
  }
  if (entry.format > FORMAT) {
    throw new Error("The model is newer than this page; make the page again.");
  }
  return entry;
}

function entryOf(content) {
  const file = new FlatBuffer(content);
  const model = file.root();
  for (const metadata of file.tables(model, MODEL.metadata)) {
    if (!file.holds(metadata, METADATA.name, NAME)) continue;
    const buffer = file.tables(model, MODEL.buffers)[file.number(metadata, METADATA.buffer)];
    // Large files hold what is long behind the tables.
    const offset = file.long(buffer, BUFFER.offset);
    const data =
      offset > 1
        ? content.subarray(offset, offset + file.long(buffer, BUFFER.size))
        : file.bytes(buffer, BUFFER.data);
    return JSON.parse(new TextDecoder().decode(data));
  }
  return null;
}

// Tables are told by their places in the file.
class FlatBuffer {
  #content;
  #view;

  constructor(content) {
    this.#content = content;
    this.#view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  }

  root() {
    return this.#view.getUint32(0, true);
  }

  tables(table, field) {
    const vector = this.#following(this.#place(table, field));
    const count = vector === 0 ? 0 : this.#view.getUint32(vector, true);
    // A count that the file cannot hold is damage, not a reason to ask for memory.
    if (4 * count > this.#content.length) throw new RangeError("vector");
    return Array.from({ length: count }, (_, i) => this.#following(vector + 4 + 4 * i));
  }

  bytes(table, field) {
    const vector = this.#following(this.#place(table, field));
    if (vector === 0) return new Uint8Array(0);
    return this.#content.subarray(vector + 4, vector + 4 + this.#view.getUint32(vector, true));
  }

  // Whether a field is a text of ASCII.
  holds(table, field, text) {
    const bytes = this.bytes(table, field);
    // In damaged files, there may be many that are as long as the file.
    return bytes.length === text.length && new TextDecoder().decode(bytes) === text;
  }

  number(table, field) {
    const place = this.#place(table, field);
    return place === 0 ? 0 : this.#view.getUint32(place, true);
  }

  long(table, field) {
    const place = this.#place(table, field);
    return place === 0 ? 0 : Number(this.#view.getBigUint64(place, true));
  }

  // Where the field of a table is, 0 if it is left out.
  #place(table, field) {
    const layout = table - this.#view.getInt32(table, true);
    const at = 4 + 2 * field;
    if (at >= this.#view.getUint16(layout, true)) return 0;
    const offset = this.#view.getUint16(layout + at, true);
    return offset === 0 ? 0 : table + offset;
  }

  // What the offset at a place leads to; 0 for a field that is left out.
  #following(place) {
    return place === 0 ? 0 : place + this.#view.getUint32(place, true);
  }
}
