"""Limits and places, in one typed object; each can be set by an environment variable EXPLAIN_<NAME>."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import platformdirs
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from explain.errors import InputError

Names = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(lambda v: tuple(n.strip() for n in v.split(",") if n.strip()) if isinstance(v, str) else v),
]
"""Several names in one variable, between commas."""


def _rules(value: Any) -> Any:
    """`a=admin,b=viewer`, or JSON where a name holds a comma, into a mapping; anything else is pydantic's to judge."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        return json.loads(value)
    return {name.strip(): role.strip() for name, _, role in (r.rpartition("=") for r in value.split(",") if r.strip())}


Rules = Annotated[dict[str, str], NoDecode, BeforeValidator(_rules)]
"""Who → a role."""


class Settings(BaseSettings):
    """Every limit that ships. Read once a process; `settings()` returns it."""

    model_config = SettingsConfigDict(env_prefix="EXPLAIN_", frozen=True)

    home: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("whyboard")), description="where state is kept"
    )
    max_characters: int = Field(100_000, ge=1, le=10_000_000, description="longest text that is read at all")
    max_texts: int = Field(1_000, ge=1, description="texts in one explain_batch call")
    token_budget: int = Field(1_024, ge=1, description="padded tokens in one pass through the model")
    memory_share: float = Field(0.9, gt=0, description="share of the free memory that one run may be forecast to take")
    fast: bool = Field(False, description="may occlusion, LIME, Shapley values run in bfloat16, if calibrated")
    allow_download: bool = Field(True, description="may models be fetched from the Hub by name")
    hub_timeout: float = Field(5.0, gt=0, description="seconds to wait for the Hub before saying it is unreachable")
    queue: int = Field(16, ge=1, le=10_000, description="questions that may wait for a model")
    seconds: float = Field(120, gt=0, description="longest work on one question of a page or a REST call")
    job_seconds: float = Field(3_600, gt=0, description="longest work on one background job")
    load_seconds: float = Field(600, gt=0, description="longest loading of a model")
    models: int = Field(2, ge=1, description="models that stay loaded")
    model_memory: int = Field(4_000, ge=1, description="megabytes of weights that stay loaded, beside the last model")
    cache_seconds: float = Field(900, ge=0, le=900, description="how long an answer is kept in memory; 0: not at all")
    cache_entries: int = Field(256, ge=0, description="answers that are kept in memory")
    evidence_url: SecretStr = Field(
        SecretStr(""), description="database of the evidence store, never shown; empty for SQLite below home"
    )
    evidence_checkpoints: Path | None = Field(None, description="second place for signed checkpoints; else below home")
    evidence_every: int = Field(100, ge=1, description="records between two checkpoints")
    evidence_minutes: float = Field(60.0, gt=0, description="minutes after which the next record gets a checkpoint")
    evidence_signed: bool = Field(True, description="are records signed; unsigned ones are marked everywhere")
    model: str = Field("sentiment", description="the model that the dashboard opens with")
    served: Names = Field((), description="Hub ids that REST may open beside the bundled models, between commas")
    models_root: Path | None = Field(None, description="folder whose subfolders REST offers as models; none if unset")
    keys: Path | None = Field(None, description="file of hashed API keys; without it only this machine may ask")
    allowed_hosts: Names = Field((), description="further names that this server answers to, between commas")
    max_body: int = Field(2_000_000, ge=1_000, le=100_000_000, description="bytes of the largest request")
    max_answer: int = Field(
        256_000_000, ge=1_000, le=2**32, description="bytes of the answers to one request, or kept of one key's jobs"
    )
    max_inputs: int = Field(32, ge=1, le=1_000, description="texts in one REST request")
    max_budget: int = Field(20_000, ge=1, le=10**7, description="largest budget that REST accepts")
    max_orders: int = Field(2_000, ge=2, le=10**5, description="most random orders that REST accepts")
    max_jobs: int = Field(8, ge=1, le=1_000, description="unfinished jobs of one API key")
    jobs: Path | None = Field(None, description="folder where jobs are written, with texts; else in memory only")
    jobs_hours: float = Field(24, gt=0, le=8_784, description="hours that a written job is kept after it ended")
    max_rows: int = Field(10_000, ge=1, le=100_000, description="texts in one job where jobs are written")
    rate: float = Field(100.0, gt=0, description="requests a second of one API key, over ten seconds")
    body_seconds: float = Field(30.0, gt=0, description="seconds for headers to arrive, and again for a body")
    keep_seconds: float = Field(900.0, gt=0, le=900, description="seconds that a finished job's answer is kept")
    login_metadata_url: str = Field("", description="metadata of an OpenID provider; without it nobody signs in")
    login_client_id: str = Field("", description="what the provider calls this dashboard")
    login_client_secret: SecretStr = Field(SecretStr(""), description="what it knows it by; never printed")
    login_redirect_uri: str = Field("", description="https://HOST/oauth2callback, as the provider knows it")
    login_scope: str = Field("openid email profile", description="what the provider is asked to tell")
    login_roles_claim: str = Field("roles", description="the claim that says who may what, such as groups")
    login_roles: Rules = Field({}, description="its values and their roles: a=admin,b=viewer, or the same as JSON")
    login_emails: Rules = Field({}, description="verified addresses, or @domains, and their roles")
    login_hours: float = Field(8, gt=0, le=168, description="hours after which a person signs in again")
    leave_seconds: float = Field(5.0, ge=0, le=600, description="seconds that a service not ready still listens")
    drain_seconds: float = Field(30.0, ge=0, le=600, description="seconds to finish running work before a stop")


@cache
def settings() -> Settings:
    """The settings of this process; raises InputError (code bad_setting) that names a variable it cannot use."""
    try:
        return Settings()  # type: ignore[call-arg]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        variable = f"EXPLAIN_{str(first['loc'][0]).upper()}"
        raise InputError(
            f"{variable} cannot be used: {first['msg']}. Set it to such a value, or unset it.", code="bad_setting"
        ) from None
