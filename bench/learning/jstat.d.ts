/** What of jstat is used here; it comes without types. */
declare module 'jstat' {
  interface Distribution {
    cdf(x: number, ...parameters: number[]): number;
    inv(p: number, ...parameters: number[]): number;
  }
  const jStat: {
    readonly normal: Distribution;
    readonly chisquare: Distribution;
    readonly centralF: Distribution;
    readonly studentt: Distribution;
    /** The studentised range of so many means. */
    readonly tukey: Distribution;
  };
  export default jStat;
}
