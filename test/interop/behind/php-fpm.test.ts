// PHP's FastCGI server behind the gateway: a FastCGI program that nobody wrote for Python.
import { phpFpm, unavailable } from "../../support/tools.js";
import { behindTheGateway } from "./application.js";

behindTheGateway({
  name: "php-fpm",
  skip: unavailable("php-fpm"),
  configuration: "php-fpm",
  start: (site) => site.serve(phpFpm(), ["--nodaemonize", "--fpm-config", "php-fpm.conf"], {}, ["fastcgi.sock"]),
  doors: [
    {
      name: "over fastcgi",
      url: ({ folder }) => `fastcgi://unix:${folder}/fastcgi.sock`,
      // A process belongs to a connection as long as that is open: kept ones would leave none for others.
      args: ({ folder }) => ["--upstream-params", `SCRIPT_FILENAME=${folder}/app.php`],
      except: {
        "environ has what PEP 3333 asks for, in the types it asks for": "this is PHP",
        "body read by lines, and nothing behind its end": "PHP has no wsgi.input to read so",
        "a response cut, its length unsaid, is seen to be cut": "PHP ends it as if it were whole",
      },
    },
  ],
});
