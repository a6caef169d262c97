// Which driver speaks which protocol.
import type { UpstreamServer } from "../config/config.js";
import type { CreateDriver } from "./driver.js";
import { fastcgiDriver } from "./fastcgi.js";
import { http1Driver } from "./http1.js";
import { scgiDriver } from "./scgi.js";
import { uwsgiDriver } from "./uwsgi.js";

export type Drivers = Readonly<Record<UpstreamServer["protocol"], CreateDriver>>;

export const drivers: Drivers = { http: http1Driver, fastcgi: fastcgiDriver, scgi: scgiDriver, uwsgi: uwsgiDriver };
