// SCGI, server role: the response is a CGI script's, and the connection ends behind it.
export { ResponseEncoder } from "../cgi/response-encoder.js";
