# The same Worker on a machine of yours: `npm start`. Logs are in the folder `logs`.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "logs", disk = (path = "logs", writable = true)),
  ],
  sockets = [ (name = "http", address = "127.0.0.1:8787", http = (), service = "main") ],
);

const main :Workerd.Worker = (
  modules = [ (name = "worker.mjs", esModule = embed "dist/worker.mjs") ],
  compatibilityDate = "2026-06-01",
  durableObjectNamespaces = [ (className = "Log", uniqueKey = "tidemark-log", enableSql = true) ],
  durableObjectStorage = (localDisk = "logs"),
  bindings = [ (name = "LOG", durableObjectNamespace = "Log"), (name = "GENERATION", text = "1") ],
);
