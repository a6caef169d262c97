// The uwsgi protocol, client role: the response is plain HTTP/1.x, up to the end of the connection.
export {
  ResponseDecoder,
  type ResponseEvent,
  type ResponseHead,
  type ResponseLimits,
} from "../http1/response-decoder.js";
