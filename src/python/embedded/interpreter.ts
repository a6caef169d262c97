// A Python interpreter in this process: libpython loaded by FFI, initialised as `python` would have, and given the program
// python/vivarium_host/embedded.py. It runs on the thread that starts it. Between calls it does not hold the GIL, so that
// the application's own threads run while this process waits for clients.
import type { Libpython } from "../libpython.js";

/**
 * Octets of the stack that a call runs on: koffi gives it one of its own, by default a quarter of what Linux gives a main
 * thread. It is the most koffi allows, and Python's own limit on recursion comes first.
 */
const stackSize = 16 * 1024 * 1024;

/** Python's C API, as far as it is used. */
export interface Interpreter {
  /** The address of memory, which stays where it is for as long as it is referenced. */
  address(memory: Uint8Array): number;
  /** The function at an address that ctypes gave. `parameters` is as in C. */
  functionAt<Parameters extends readonly number[]>(
    address: number,
    name: string,
    parameters: string,
  ): (...parameters: Parameters) => number;
  /** An address Python can call: `int (long long, unsigned, unsigned)`, and `void (const char *)`. */
  takesNumbers(call: (first: number, second: number, third: number) => number): number;
  takesText(call: (text: string) => void): number;
  /** Runs a program's text in `__main__`. Nothing else must run meanwhile. */
  run(program: string): void;
  /** Lets other threads have the GIL; from then on only `functionAt`'s functions may be called. */
  release(): void;
  /** Takes the GIL for good: no other thread of the interpreter runs any more. */
  acquire(): void;
}

/** Throws an Error with Python's word where it cannot be initialised. */
export async function startInterpreter({ library, executable }: Libpython): Promise<Interpreter> {
  const { default: koffi } = await import("koffi");
  koffi.config({ ...koffi.config(), sync_stack_size: stackSize });
  // Extension modules expect to find Python's functions among the process's own.
  const python = koffi.load(library, { global: true });
  const status = koffi.struct({ kind: "int", func: "const char *", message: "const char *", exitCode: "int" });
  const word = koffi.pointer("void");

  // As `python` does before anything else: which locale and encoding (PEP 538, PEP 540, PYTHONUTF8), which allocator
  // (PYTHONMALLOC). PyPreConfig is ten numbers; Python itself fills them in.
  const preConfig = Buffer.alloc(256);
  python.func("PyPreConfig_InitPythonConfig", "void", [word])(preConfig);
  const initialised: unknown = python.func("Py_PreInitialize", status, [word])(preConfig);
  if (hasMessage(initialised)) throw new Error(initialised.message);
  // With the name of the interpreter's executable it finds its modules, and the virtual environment's, as that one does.
  const name: unknown = python.func("void *Py_DecodeLocale(const char *, void *)")(executable, null);
  python.func("void Py_SetProgramName(void *)")(name);
  // 0: it leaves the process's signal handlers alone.
  python.func("void Py_InitializeEx(int)")(0);

  const run: (program: string) => number = python.func("int PyRun_SimpleString(const char *)");
  const save: () => unknown = python.func("void *PyEval_SaveThread()");
  const restore: (state: unknown) => void = python.func("void PyEval_RestoreThread(void *)");
  const numbers = koffi.pointer(koffi.proto("int vivarium_numbers(int64, uint, uint)"));
  const text = koffi.pointer(koffi.proto("void vivarium_text(const char *)"));
  let state: unknown;
  return {
    address: (memory) => Number(koffi.address(memory)),
    functionAt: (address, called, parameters) =>
      koffi.decode(BigInt(address), koffi.proto(`int64 vivarium_${called}(${parameters})`)),
    takesNumbers: (call) => Number(koffi.register(call, numbers)),
    takesText: (call) => Number(koffi.register(call, text)),
    run(program) {
      if (run(program) !== 0) throw new Error("Python could not run its first lines");
    },
    release() {
      state = save();
    },
    acquire() {
      restore(state);
    },
  };
}

function hasMessage(value: unknown): value is { readonly message: string } {
  return typeof value === "object" && value !== null && "message" in value && typeof value.message === "string";
}
