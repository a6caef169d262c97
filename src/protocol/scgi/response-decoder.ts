// SCGI, client role: the response is a CGI script's, up to the end of the connection.
export {
  ResponseDecoder,
  type ResponseEvent,
  type ResponseHead,
  type ResponseLimits,
} from "../cgi/response-decoder.js";
