// Requests to the broker.

/** Throws `TypeError` unless the URL is https. */
export function requireHttps(url: URL): void {
  const isLoopback = ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLoopback)) {
    throw new TypeError(`\`${url}\` is not https`);
  }
}

/** A redirect could lead to an answer that isn't the broker's. */
export async function get(url: URL, timeoutMs: number, headers: Record<string, string>): Promise<Response> {
  return await fetch(url, { redirect: "error", signal: AbortSignal.timeout(timeoutMs), headers });
}

/** The body, of at most `bytesMax` bytes. */
export async function bounded(response: Response, bytesMax: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw new Error("the answer is too large");
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
