"""Who serves a model, in the words of OpenTelemetry's `gen_ai.provider.name`.

https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/ lists the well-known ones;
for others it asks for a name of their own, which is then what stands before a model's '/' or the
host that is asked.
"""

from __future__ import annotations

from typing import Final

LOCAL: Final = "llama.cpp"

_MODELS: Final = {
    "anthropic": ("anthropic", "claude"),
    "aws.bedrock": ("bedrock", "amazon-bedrock"),
    "azure.ai.openai": ("azure",),
    "deepseek": ("deepseek",),
    "gcp.gemini": ("google", "gemini"),
    "groq": ("groq",),
    "mistral_ai": ("mistral", "codestral"),
    "ollama": ("ollama", "ollama_chat"),
    "openai": ("openai", "gpt", "o1", "o3", "o4"),
    "openrouter": ("openrouter",),
    "x_ai": ("xai", "grok"),
}
_HOSTS: Final = {
    "anthropic.com": "anthropic",
    "amazonaws.com": "aws.bedrock",
    "azure.com": "azure.ai.openai",
    "deepseek.com": "deepseek",
    "googleapis.com": "gcp.gemini",
    "groq.com": "groq",
    "mistral.ai": "mistral_ai",
    "openai.com": "openai",
    "openrouter.ai": "openrouter",
    "x.ai": "x_ai",
}
_MOST: Final = 100


def provider_of_model(model: str | None) -> str | None:
    """Return who serves a model, by the name before its '/', or by the beginning of its own."""
    if not model:
        return None
    service, slash, name = model.lower().partition("/")
    for provider, names in _MODELS.items():
        if (slash and service in names) or (not slash and service.split("-")[0] in names):
            return provider
    return service[:_MOST] if slash and name else None


def provider_of_host(host: str | None) -> str | None:
    """Return who answers at a host, with or without a port; else the host itself."""
    if not host:
        return None
    host = host.lower().rpartition("@")[2]
    host = host.partition(":")[0] if host.count(":") == 1 else host
    host = host.rstrip(".")
    for suffix, provider in _HOSTS.items():
        if host == suffix or host.endswith(f".{suffix}"):
            return provider
    return host[:_MOST]
