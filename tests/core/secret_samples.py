"""Made-up secrets of the families that public scanners list, each in a text as it comes up.

Each is drawn here, from a fixed seed, so that no file of this repository holds one. `{}` stands for
the secret.
"""

from __future__ import annotations

import base64
import random
import string
from typing import Final

_DRAWN: Final = random.Random(5)
_DIGITS, _SMALL, _CAPITAL = string.digits, string.ascii_lowercase, string.ascii_uppercase
_ALL: Final = string.ascii_letters + _DIGITS
_HEX: Final = "0123456789abcdef"
_LOW: Final = _SMALL + _DIGITS
_UP: Final = _CAPITAL + _DIGITS
_WORD: Final = _ALL + "_-"


def _some(count: int, letters: str = _ALL) -> str:
    return "".join(_DRAWN.choice(letters) for _ in range(count))


def _uuid() -> str:
    return "-".join(_some(count, _HEX) for count in (8, 4, 4, 4, 12))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


FAMILIES: Final = (
    (
        "1password",
        "A3-{}",
        _some(6, _UP) + "-" + _some(11, _UP) + "-" + "-".join(_some(5, _UP) for _ in range(3)),
    ),
    ("adafruit", "ADAFRUIT_IO_KEY={}", _some(32, _LOW)),
    ("adobe", 'adobe_client_secret: "{}"', "p8e-" + _some(32, _LOW)),
    ("airtable", "{}", "pat" + _some(14) + "." + _some(64, _HEX)),
    ("airtable old", 'airtable_api_key = "{}"', "key" + _some(14)),
    ("algolia", "algolia_key: {}", _some(32, _LOW)),
    ("alibaba", "{}", "LTAI" + _some(20)),
    ("asana", 'asana_secret = "{}"', _some(32, _LOW)),
    ("atlassian", "{}", "ATATT3" + _some(186, _WORD)),
    ("bitbucket", "bitbucket_client_secret={}", _some(64, _LOW)),
    ("cloudflare", "CLOUDFLARE_API_TOKEN={}", _some(40, _WORD)),
    ("cloudflare global", 'cloudflare_api_key: "{}"', _some(37, _HEX)),
    ("codecov", "CODECOV_TOKEN={}", _uuid()),
    ("cohere", "CO_API_KEY={}", _some(40)),
    ("confluent", 'confluent_secret_key = "{}"', _some(64, _LOW)),
    ("contentful", "contentful_delivery_token: {}", _some(43, _WORD)),
    ("databricks", "{}", "dapi" + _some(32, _HEX)),
    ("datadog", "DD_API_KEY={}", _some(32, _HEX)),
    ("datadog app", 'datadog_app_key="{}"', _some(40, _LOW)),
    ("discord bot", "{}", "M" + _some(23) + "." + _some(6) + "." + _some(27, _WORD)),
    (
        "discord hook",
        "https://discord.com/api/webhooks/{}",
        _some(18, _DIGITS) + "/" + _some(68, _WORD),
    ),
    ("docker pat", "docker login -u x -p {}", "dckr_pat_" + _some(27, _WORD)),
    ("doppler", "{}", "dp.pt." + _some(43)),
    ("dropbox", 'dropbox_token: "{}"', "sl." + _some(135, _WORD)),
    ("dynatrace", "{}", "dt0c01." + _some(24, _UP) + "." + _some(64, _UP)),
    ("easypost", "{}", "EZAK" + _some(54)),
    ("facebook", "{}", "EAAC" + _some(120)),
    ("facebook secret", "FACEBOOK_APP_SECRET={}", _some(32, _HEX)),
    ("fastly", "fastly_api_token = {}", _some(32, _WORD)),
    ("flyio", "{}", "fo1_" + _some(43, _WORD)),
    ("gcp oauth", 'client_secret="{}"', "GOCSPX-" + _some(28, _WORD)),
    ("grafana", "{}", "glsa_" + _some(32) + "_" + _some(8, _HEX)),
    ("heroku", "HEROKU_API_KEY={}", _uuid()),
    ("heroku new", "{}", "HRKU-AA" + _some(58, _WORD)),
    ("hubspot", "hubspot_api_key: {}", _uuid().upper()),
    ("infracost", "{}", "ico-" + _some(32)),
    ("intercom", 'intercom_token="{}"', _some(60, _WORD)),
    ("jfrog", "{}", "AKCp" + _some(69)),
    ("kraken", 'kraken_secret = "{}"', _some(86, _ALL + "/+") + "=="),
    ("kubernetes", "kind: Secret\ndata:\n  password: {}", _base64(_some(14))),
    ("launchdarkly", "LAUNCHDARKLY_SDK_KEY=sdk-{}", _uuid()),
    ("linear", "{}", "lin_api_" + _some(40)),
    ("mailchimp", "{}", _some(32, _HEX) + "-us12"),
    ("mailgun", "{}", "key-" + _some(32, _HEX)),
    ("mapbox", "{}", "sk.eyJ" + _some(80, _ALL) + "." + _some(22)),
    ("mssql", "sqlcmd -S x -U sa -P {}", _some(10) + "9!"),
    ("netlify", "NETLIFY_AUTH_TOKEN={}", _some(43, _WORD)),
    ("new relic", "{}", "NRAK-" + _some(27, _UP)),
    ("npmrc", "//registry.example/:_authToken={}", _some(36)),
    ("nuget", "{}", "oy2" + _some(43, _LOW)),
    ("okta", "OKTA_API_TOKEN={}", "00" + _some(40, _WORD)),
    ("openshift", "{}", "sha256~" + _some(43, _WORD)),
    ("perplexity", "{}", "pplx-" + _some(48)),
    ("plaid", 'plaid_secret: "{}"', _some(30, _HEX)),
    ("planetscale", "{}", "pscale_tkn_" + _some(43, _WORD)),
    ("postman", "{}", "PMAK-" + _some(24, _HEX) + "-" + _some(34, _HEX)),
    ("pulumi", "{}", "pul-" + _some(40, _HEX)),
    ("pypi", "{}", "pypi-AgEIcHlwaS5vcmc" + _some(90, _WORD)),
    ("rapidapi", '"X-RapidAPI-Key": "{}"', _some(50, _LOW)),
    ("readme", "{}", "rdme_" + _some(70, _LOW)),
    ("rubygems", "{}", "rubygems_" + _some(48, _HEX)),
    ("sendinblue", "{}", "xkeysib-" + _some(64, _HEX) + "-" + _some(16)),
    ("sentry", "SENTRY_AUTH_TOKEN={}", _some(64, _HEX)),
    ("sentry user", "{}", "sntryu_" + _some(64, _HEX)),
    ("snyk", "SNYK_TOKEN={}", _uuid()),
    ("sonar", "sonar.login={}", "sqp_" + _some(40, _HEX)),
    ("square", "{}", "sq0atp-" + _some(22, _WORD)),
    ("squarespace", 'squarespace_key="{}"', _uuid()),
    ("stripe", "{}", "sk_live_" + _some(24)),
    ("telegram", "bot {}", _some(10, _DIGITS) + ":A" + _some(34, _WORD)),
    ("twilio", "{}", "SK" + _some(32, _HEX)),
    ("twilio auth", "TWILIO_AUTH_TOKEN={}", _some(32, _HEX)),
    ("twitch", "twitch_client_secret: {}", _some(30, _LOW)),
    ("twitter", "TWITTER_BEARER_TOKEN={}", "A" * 22 + _some(80, _ALL + "%")),
    ("typeform", "{}", "tfp_" + _some(59, _WORD)),
    ("vault", "{}", "hvs." + _some(95, _WORD)),
    ("yandex", "{}", "AQVN" + _some(36, _WORD)),
    ("zendesk", "zendesk_secret_key={}", _some(40, _LOW)),
    ("azure ad", "{}", _some(3) + "8Q~" + _some(34)),
    ("azure sas", "https://x.blob.core.windows.net/c?sv=2021&sig={}", _some(43) + "%3D"),
    ("mysql cli", "mysql -u root -p{}", _some(12)),
    ("mongodb", "mongodb+srv://app:{}@cluster0.mongodb.net/x", _some(12)),
    ("amqp", "amqps://u:{}@mq.example:5671", _some(16)),
    ("ftp curl", "curl ftp://u:{}@h/f", _some(9)),
    ("jdbc", "jdbc:postgresql://h/db?user=x&password={}", _some(12)),
    ("basic hdr", "Authorization: Basic {}", _base64("u:" + _some(12))),
    ("x-api-key", "X-Api-Key: {}", _some(32)),
    ("netrc", "machine api.example login joe password {}", _some(12)),
    ("pgpass", "db.example:5432:app:joe:{}", _some(12)),
    ("sql", "CREATE USER x IDENTIFIED BY '{}';", _some(10)),
    ("psql", "ALTER ROLE x WITH PASSWORD '{}';", _some(10)),
    ("xml", "<password>{}</password>", _some(12)),
    ("properties", "spring.datasource.password={}", _some(12)),
    ("yaml", "  dbPassword: {}", _some(14)),
    ("helm", "--set auth.rootPassword={}", _some(14)),
    ("export", "export GITHUB_TOKEN={}", "ghs_" + _some(36)),
    ("docker env", "-e POSTGRES_PASSWORD={}", _some(12)),
    ("js", 'const apiKey = "{}";', _some(32)),
    ("py", 'API_SECRET = "{}"', _some(40)),
    ("go", 'Token: "{}",', _some(32)),
    ("java", 'private static final String PASSWORD = "{}";', _some(12)),
    ("cookie", "Cookie: sessionid={}; theme=dark", _some(32)),
    ("ansible", "ansible_ssh_pass={}", _some(11)),
    ("htpasswd", "joe:{}", "$2y$05$" + _some(53)),
    ("age", "{}", "AGE-SECRET-KEY-1" + _some(58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L")),
    ("jwk", '{"kty":"RSA","d":"{}"}', _some(342, _WORD)),
    ("clojars", "{}", "CLOJARS_" + _some(60, _LOW)),
    ("prefect", "{}", "pnu_" + _some(36)),
    ("harness", "{}", "pat." + _some(22, _WORD) + "." + _some(24) + "." + _some(20)),
    ("frameio", "{}", "fio-u-" + _some(64, _WORD)),
    ("duffel", "{}", "duffel_live_" + _some(43, _WORD)),
    ("flutterwave", "{}", "FLWSECK_TEST-" + _some(32, "abcdefgh" + _DIGITS) + "-X"),
    ("gocardless", "gocardless_token=live_{}", _some(40, _WORD)),
    ("lob", 'lob_api_key: "live_{}"', _some(35, _HEX)),
    ("nytimes", 'nytimes_key = "{}"', _some(32, _WORD)),
    ("messagebird", 'messagebird_token="{}"', _some(25, _LOW)),
    ("finnhub", "finnhub_token={}", _some(20, _LOW)),
    ("etsy", "ETSY_TOKEN={}", _some(24, _LOW)),
    ("looker", "looker_client_secret={}", _some(24, _LOW)),
    ("travis", "travis_token: {}", _some(22, _LOW)),
    ("settlemint", "{}", "sm_pat_" + _some(16)),
    ("octopus", "{}", "API-" + _some(26, _UP)),
    ("shippo", "{}", "shippo_live_" + _some(40, _HEX)),
    ("beamer", 'beamer_key="b_{}"', _some(44, _WORD)),
    ("bittrex", "bittrex_secret={}", _some(32, _LOW)),
    ("linkedin", "linkedin_client_secret={}", _some(16)),
    ("sumologic key", 'sumo_access_key: "{}"', _some(64, _LOW)),
    ("mattermost", "mattermost_token={}", _some(26, _LOW)),
    ("meraki", "MERAKI_API_KEY={}", _some(40, _HEX)),
    ("maxmind", "{}", _some(6) + "_" + _some(29) + "_mmk"),
    (
        "teams",
        "https://x.webhook.office.com/webhookb2/{}",
        _uuid() + "@" + _uuid() + "/IncomingWebhook/" + _some(32, _HEX) + "/" + _uuid(),
    ),
    ("pw letters", "DB_PASSWORD={}", _some(12, _SMALL)),
    ("pw letters quoted", '"password": "{}"', _some(14, string.ascii_letters)),
    (
        "passphrase",
        'passphrase: "{}"',
        _some(5, _SMALL) + " " + _some(6, _SMALL) + "7 " + _some(5) + "3 " + _some(4) + "1",
    ),
    ("pw yaml short", "password: {}", _some(6, _SMALL) + "42"),
    ("token one line up", "token:\n  {}", _some(40)),
)
"""Of each: its name, the text, the secret."""
