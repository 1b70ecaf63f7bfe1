"""LiteLLM's proxy with our plugin or hook: litellm.py plugin|hook UPSTREAM. Prints who was answered by which model."""

import json, os, socket, subprocess, sys, tempfile, threading

import openai

way, upstream = sys.argv[1:]
key = "sk-" + "0123456789abcdef" * 2
models = ["gpt-4o", "gpt-4o-mini"]


def deployment(group, model):
    return {"model_name": group, "litellm_params": {"model": f"openai/{model}", "api_base": upstream, "api_key": "none"}}


if way == "plugin":
    chooser = "from personaroute.litellm import PersonaRoutePlugin\nchooser = PersonaRoutePlugin()\n"
    deployments = [deployment("auto", model) for model in models]
    settings = {"router_settings": {"plugins": ["chooser.chooser"]}}
else:
    chooser = f"from personaroute.litellm import PersonaRouteHook\nchooser = PersonaRouteHook({models!r})\n"
    deployments = [deployment(model, model) for model in models]
    settings = {}

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]

# LiteLLM reads its configuration as YAML, which JSON is.
configuration = {"model_list": deployments, "litellm_settings": {"callbacks": ["chooser.chooser"]}, **settings}
seen = {"whole": {}, "streamed": {}, "headers": {}}
with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, "chooser.py"), "w") as file:
        file.write(chooser)
    with open(os.path.join(folder, "config.yaml"), "w") as file:
        json.dump(configuration, file)
    program = os.path.join(os.path.dirname(sys.executable), "litellm")
    arguments = [sys.executable, program, "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "LITELLM_MASTER_KEY": key, "LITELLM_TELEMETRY": "False", "HF_HUB_OFFLINE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    proxy = subprocess.Popen(
        arguments, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        log = []
        # It says so when it listens; a proxy that ends before closes the pipe.
        for line in proxy.stdout:
            log.append(line)
            if "Uvicorn running on" in line:
                break
        else:
            sys.exit("the proxy ended:\n" + "".join(log))
        threading.Thread(target=lambda: log.extend(proxy.stdout), daemon=True).start()
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0)
        question = [{"role": "user", "content": "Prove that 2 is prime."}]
        for user in ["cost-first", "quality-first"]:
            raw = client.chat.completions.with_raw_response.create(model="auto", messages=question, user=user)
            seen["whole"][user] = raw.parse().choices[0].message.content
            names = ["x-personaroute-model", "x-personaroute-user-state"]
            seen["headers"][user] = [raw.headers.get(name) for name in names]
            stream = client.chat.completions.create(model="auto", messages=question, user=user, stream=True)
            pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
            seen["streamed"][user] = "".join(pieces)
    finally:
        proxy.kill()
        proxy.wait()
print(json.dumps(seen))
