/** What is sent between a page and its worker. */

/**
 * The buffers of `arrays` to hand over with a message. Small ones are left to be copied, which
 * takes less time.
 */
export const handedOver = (arrays) => [
  ...new Set(arrays.filter((array) => array.byteLength > 65536).map(({ buffer }) => buffer)),
];
