/**
 * A mistake that the user can mend: an option, a file, a folder. Its message is one sentence that names it; it is printed
 * without a stack, and the program ends with code 2.
 */
export class UserError extends Error {
  override name = 'UserError';
}
