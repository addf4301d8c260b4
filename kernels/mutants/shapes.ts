/**
 * The cases in which planted faults must be seen: the part of a case id that follows the kernel. All are of the suite
 * `smoke` unless the comment says otherwise.
 *
 * @module
 */

const SMALL = "B=1;H=16;R=256;Dr=64;q=1";

/** Cases of `attend`. */
export const attend = {
  /** A page and a token of the next, in one split: of the heads, and so of the shaders, that the cases of `mla` have. */
  pageAndOne: "B=1;H=8;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16;scale=0.5;splits=1",
  /** Two pages and a token. */
  twoPagesAndOne: `${SMALL};kv=129;page=64;cache=bf16`,
  /** One token: its value is the answer. */
  oneToken: `${SMALL};kv=1;page=64;cache=bf16`,
  /** Exactly one page. */
  onePage: `${SMALL};kv=64;page=64;cache=bf16`,
  /** No token. */
  nothing: `${SMALL};kv=0;page=64;cache=bf16`,
  /** Two sequences over small pages, rank 512. */
  rank512: "B=2;H=16;R=512;Dr=64;q=1;kv=33;page=16;cache=bf16",
  /** A hundred tokens over small pages, rank 512. */
  long512: "B=2;H=16;R=512;Dr=64;q=1;kv=100;page=16;cache=bf16",
  /** Not of `smoke`: a rank at which a lane of 32 has several chains of a score. */
  rank1024: "B=1;H=8;R=1024;Dr=64;q=1;kv=33;page=64;cache=f16",
  /** A page size that is no power of two. */
  page3: "B=3;H=8;R=256;Dr=64;q=1;kv=130;page=3;cache=bf16",
  /** The other element types. */
  f16: "B=2;H=8;R=256;Dr=64;q=1;kv=65;page=64;cache=f16",
  f32: "B=2;H=8;R=256;Dr=64;q=1;kv=65;page=64;cache=f32",
  /** Heads that fill no team of two rows; the shortest sequence, which is attended to last, is the first. */
  oddHeads: "B=3;H=3;R=256;Dr=64;q=1;kv=1,66,40;page=64;cache=bf16",
  /** One head, and so one team, which reads its tiles ahead. */
  oneHead: "B=1;H=1;R=256;Dr=64;q=1;kv=66;page=64;cache=bf16",
  /** Fewer scores than lanes. */
  tile2: "B=1;H=8;R=256;Dr=64;q=1;kv=66;page=61;cache=bf16;rows=1;tile=2",
  /** Logits that grow from token to token. */
  monotone: `${SMALL};kv=129;page=64;cache=bf16;input=monotone;splits=1`,
  /** Logits beyond the range of exp. */
  large: `${SMALL};kv=129;page=64;cache=bf16;input=large;splits=1`,
  /** Logits that move twice by more than the range of exp. */
  jump: `${SMALL};kv=129;page=64;cache=bf16;input=jump;splits=1`,
  /** Thousands of tokens of the same weight. */
  equalLong: "B=1;H=2;R=256;Dr=64;q=1;kv=4097;page=64;cache=f16;input=equal;splits=1",
  /** Logits that are all the same. */
  equal: `${SMALL};kv=129;page=64;cache=bf16;input=equal;splits=1`,
  /** Three splits. */
  split: `${SMALL};kv=193;page=64;cache=bf16;splits=3`,
  /** Splits that 4 threads merge, and that 16 do. */
  manySplits: "B=1;H=2;R=256;Dr=64;q=1;kv=577;page=64;cache=bf16;splits=17",
  manyMoreSplits: "B=1;H=2;R=256;Dr=64;q=1;kv=300;page=64;cache=bf16;splits=40",
  /** So many that each of the 16 takes several steps. */
  steppedSplits: "B=1;H=2;R=256;Dr=64;q=1;kv=4200;page=64;cache=bf16;input=peak;splits=140",
  splitMonotone: `${SMALL};kv=129;page=64;cache=bf16;input=monotone;splits=3`,
  /** Ragged lengths, one of them none. */
  ragged: "B=4;H=16;R=256;Dr=64;q=1;kv=0,1,64,129;page=64;cache=bf16",
  ragged512: "B=5;H=8;R=512;Dr=64;q=1;kv=1,65,0,128,200;page=16;cache=bf16",
  many: "B=17;H=8;R=256;Dr=64;q=1;kv=rand(1..96);page=16;cache=f16",
  /** Many heads, and so four warps a workgroup. */
  heads63: "B=1;H=63;R=256;Dr=64;q=1;kv=66;page=64;cache=bf16",
  /** Several query tokens. */
  twoQueries: "B=1;H=8;R=256;Dr=64;q=2;kv=65;page=64;cache=bf16",
  nineQueries: "B=1;H=8;R=256;Dr=64;q=9;kv=64;page=64;cache=bf16",
  /** Query tokens that see nothing. */
  unseen: "B=1;H=8;R=256;Dr=64;q=3;kv=2;page=64;cache=bf16",
  /** Prompts, steps, a chunk, and a sequence without new tokens. */
  mixed: "B=5;H=8;R=256;Dr=64;q=5,1,1,17,0;kv=5,65,1,40,9;page=16;cache=bf16",
  mixedSeparate: "B=5;H=8;R=256;Dr=64;q=5,1,1,17,0;kv=5,65,1,40,9;page=3;cache=bf16;layout=separate",
  /** A chunk behind cached tokens. */
  chunk: "B=1;H=4;R=256;Dr=64;q=33;kv=130;page=16;cache=bf16",
  chunkSplit: "B=1;H=4;R=256;Dr=64;q=33;kv=130;page=16;cache=bf16;splits=3",
  /** Latents and rope keys in two buffers. */
  separate: "B=2;H=8;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16;layout=separate",
  /** A log-sum-exp of base 2. */
  lse2: `${SMALL};kv=65;page=64;cache=bf16;lse=2`,
  lse2Split: `${SMALL};kv=193;page=64;cache=bf16;splits=3;lse=2`,
  /** Not of `smoke`: many workgroups of several warps, in which a race that is not seen every time is seen once. */
  races: "B=32;H=64;R=256;Dr=64;q=1;kv=200;page=64;cache=bf16",
} as const;

/** Cases of `append`, in the layout `combined`. */
export const append = {
  /** One token, the first of a page. */
  one: "B=1;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16",
  /** A prompt over several pages, and behind cached tokens. */
  prompt: "B=1;R=256;Dr=64;q=130;kv=130;page=16;cache=bf16",
  cached: "B=1;R=256;Dr=64;q=130;kv=200;page=61;cache=bf16",
  /** The other element types. */
  f16: "B=1;R=512;Dr=64;q=65;kv=65;page=64;cache=f16",
  f32: "B=1;R=512;Dr=64;q=65;kv=65;page=64;cache=f32",
  /** Empty sequences among others. */
  ragged: "B=6;R=256;Dr=64;q=0,4,0,0,7,0;kv=0,4,5,0,70,64;page=64;cache=bf16",
  /** A token of each of many sequences. */
  decode: "B=17;R=256;Dr=64;q=1;kv=rand(1..96);page=16;cache=bf16",
  /** Not of `smoke`: many workgroups, in which a race that is not lost every time is lost once. */
  races: "B=64;R=256;Dr=64;q=40;kv=90;page=16;cache=bf16",
} as const;

/** Cases of `append` in the layout `separate`. */
export const appendSeparate = {
  /** A chunk behind cached tokens. */
  cached: "B=1;R=256;Dr=64;q=65;kv=130;page=64;cache=bf16;layout=separate",
  f16: "B=1;R=512;Dr=64;q=20;kv=70;page=64;cache=f16;layout=separate",
  ragged: "B=6;R=256;Dr=64;q=0,4,0,0,7,0;kv=0,4,5,0,70,64;page=64;cache=bf16;layout=separate",
  /** Not of `smoke`: many workgroups, in which a race that is not lost every time is lost once. */
  races: "B=64;R=256;Dr=64;q=40;kv=90;page=16;cache=bf16;layout=separate",
} as const;

/** Cases of `project`. */
export const project = {
  /** A token of each of three sequences. */
  q: "B=3;H=4;R=256;Dn=64;q=1;part=q",
  v: "B=3;H=4;R=256;Dn=64;q=1;part=v",
  /** Sixty tokens, and more outputs than a tile has. */
  manyQ: "B=3;H=2;R=512;Dn=192;Dv=256;q=20;part=q",
  manyV: "B=3;H=2;R=512;Dn=192;Dv=256;q=20;part=v",
  /** Rows of padding. */
  padding: "B=1;H=3;R=256;q=17;part=v;weight=f32;padding=5",
  /** Not of `smoke`: many workgroups, in which a race that is not lost every time is lost once. */
  races: "B=64;H=64;R=512;q=1;part=v",
} as const;

/** Cases of `prefill`. */
export const prefill = {
  /** Ragged prompts. */
  ragged: "B=3;H=4;R=256;Dr=64;Dn=64;q=33,1,17;kv=33,1,17;page=64;cache=bf16",
  wide: "B=3;H=2;R=512;Dr=64;Dn=192;Dv=256;q=33,1,17;kv=33,1,17;page=64;cache=bf16",
  /** Chunks behind cached tokens. */
  chunks: "B=2;H=3;R=256;Dr=64;q=9,5;kv=70,5;page=16;cache=bf16",
  /** No causal rule, base 2. */
  whole: "B=1;H=3;R=256;Dr=64;q=20;kv=20;page=64;cache=bf16;causal=0;lse=2",
  separate: "B=1;H=3;R=256;Dr=64;q=65;kv=65;page=64;cache=bf16;layout=separate;padding=4",
  /** A sequence without new tokens, a step, padding. */
  steps: "B=3;H=3;R=256;Dr=64;q=5,0,1;kv=5,9,64;page=64;cache=bf16;padding=1",
  /** Logits beyond the range of exp. */
  large: "B=1;H=2;R=256;Dr=64;q=40;kv=140;page=64;cache=bf16;input=large",
  /** Not of `smoke`: many workgroups, in which a race that is not lost every time is lost once. */
  races: "B=8;H=16;R=256;Dr=64;Dn=64;q=200;kv=200;page=64;cache=bf16",
} as const;

/** Cases of `mla`. */
export const mla = {
  /** A step, the first token of a page. */
  step: "B=2;H=4;R=256;Dr=64;q=1;kv=65;page=64;cache=bf16",
  step512: "B=2;H=4;R=512;Dr=64;q=1;kv=65;page=64;cache=bf16",
  /** A prompt in either form, with padding. */
  prompt: "B=1;H=4;R=256;Dr=64;q=70;kv=70;page=64;cache=bf16;padding=3;form=absorbed",
  expanded: "B=1;H=4;R=256;Dr=64;q=70;kv=70;page=64;cache=bf16;padding=3;form=expanded",
  /** Prompts, steps and a sequence without new tokens. */
  mixed: "B=5;H=4;R=256;Dr=64;Dn=64;q=5,1,1,17,0;kv=5,65,1,40,9;page=64;cache=bf16",
  mixedSeparate: "B=5;H=4;R=256;Dr=64;Dn=64;q=5,1,1,17,0;kv=5,65,1,40,9;page=16;cache=bf16;layout=separate",
  /** Calls one after another on one cache. */
  flow: "B=1;H=4;R=256;Dr=64;q=32>1;kv=33;page=16;cache=bf16",
  flowSplit: "B=2;H=4;R=256;Dr=64;q=40,0>1,7>0,1;kv=41,9;page=64;cache=bf16;splits=2;form=absorbed",
} as const;
