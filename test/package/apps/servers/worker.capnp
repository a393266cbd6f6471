using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [ (name = "main", worker = .log) ],
  sockets = [ (name = "http", address = "127.0.0.1:0", http = (), service = "main") ],
);

const log :Workerd.Worker = (
  modules = [ (name = "worker.mjs", esModule = embed "worker.mjs") ],
  compatibilityDate = "2026-06-01",
  durableObjectNamespaces = [ (className = "Log", uniqueKey = "tidemark-log") ],
  durableObjectStorage = (inMemory = void),
  bindings = [ (name = "LOG", durableObjectNamespace = "Log") ],
);
