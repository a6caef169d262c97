#!/usr/bin/env node
import { main } from "../build/bundle/vivarium.js";

process.exitCode = await main(process.argv.slice(2));
