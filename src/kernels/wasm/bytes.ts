/** A growing byte buffer with WebAssembly's number encodings: LEB128 integers, little-endian floats, names. */
export class Bytes {
  private buffer = new Uint8Array(256);
  length = 0;

  byte(value: number): void {
    if (this.length === this.buffer.length) this.grow(this.length + 1);
    this.buffer[this.length++] = value;
  }

  /** Unsigned LEB128: seven bits a byte, low bits first, the top bit says that more follow. */
  u32(value: number): void {
    value >>>= 0;
    while (value > 0x7f) {
      this.byte((value & 0x7f) | 0x80);
      value >>>= 7;
    }
    this.byte(value);
  }

  /** Signed LEB128: ends when what is left is only the sign, and the sign bit of the last byte shows it. */
  s32(value: number): void {
    value |= 0;
    for (;;) {
      const low = value & 0x7f;
      value >>= 7;
      if ((value === 0 && (low & 0x40) === 0) || (value === -1 && (low & 0x40) !== 0)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  f32(value: number): void {
    for (const byte of new Uint8Array(new Float32Array([value]).buffer)) this.byte(byte);
  }

  name(text: string): void {
    this.u32(text.length);
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i));
  }

  append(other: Bytes): void {
    if (this.length + other.length > this.buffer.length) this.grow(this.length + other.length);
    this.buffer.set(other.view(), this.length);
    this.length += other.length;
  }

  /** `other` behind its own length: how sections and function bodies stand in a module. */
  appendSized(other: Bytes): void {
    this.u32(other.length);
    this.append(other);
  }

  view(): Uint8Array<ArrayBuffer> {
    return this.buffer.subarray(0, this.length);
  }

  private grow(needed: number): void {
    const larger = new Uint8Array(Math.max(needed, this.buffer.length * 2));
    larger.set(this.buffer.subarray(0, this.length));
    this.buffer = larger;
  }
}
