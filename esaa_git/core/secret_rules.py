"""What secrets look like: the maintained rules of redaction, as data.

The families are those that public scanners list (gitleaks' rules, detect-secrets' plugins) and that
services document of their own tokens: beginnings, alphabets and lengths. Nothing of theirs is
copied. A family is added by a line here and a sample in `tests/core/test_secrets.py`.

All patterns are RE2's, over bytes: no lookaround, no backtracking, so a text costs what it is long.
"""

from __future__ import annotations

from typing import Final

_WORD: Final = r"[A-Za-z0-9_-]"
_ALNUM: Final = r"[A-Za-z0-9]"
_HEX: Final = r"[A-Fa-f0-9]"
_BASE64: Final = r"[A-Za-z0-9+/]"

# beginning, alphabet of the rest, least and most characters of it
TOKENS: Final = (
    # code hosts, registries, builds
    (r"gh[opusr]_", _ALNUM, 36, 255),
    (r"github_pat_", r"[A-Za-z0-9_]", 36, 255),
    (r"gl(?:pat|dt|ft|rt|ptt|soat|cbt|imt|ffct|oas|agent|wt)-", r"[A-Za-z0-9_.-]", 20, 320),
    (r"GR1348941", _WORD, 20, 20),
    (r"ATATT3", r"[A-Za-z0-9_=-]", 100, 300),
    (r"ATBB", _ALNUM, 24, 64),
    (r"BBDC-", r"[A-Za-z0-9+/]", 40, 60),
    (r"npm_", _ALNUM, 36, 255),
    (r"npms?_[A-Za-z]", _ALNUM, 35, 255),
    (r"pypi-", _WORD, 50, 1000),
    (r"rubygems_", _HEX, 48, 48),
    (r"oy2", r"[a-z0-9]", 43, 43),
    (r"CLOJARS_", r"[A-Za-z0-9]", 60, 60),
    (r"cio", _ALNUM, 32, 32),
    (r"dckr_(?:pat|oat)_", _WORD, 27, 60),
    (r"AKCp", _ALNUM, 60, 73),
    (r"cmVmd[A-Za-z]", _ALNUM, 58, 64),
    (r"sgp_", r"[A-Za-z0-9_]", 40, 70),
    (r"sq[upa]_", _ALNUM, 40, 40),
    (r"CCIPAT_", r"[A-Za-z0-9_]", 40, 80),
    (r"bkua_", _ALNUM, 40, 40),
    (r"rdme_", r"[a-z0-9]", 70, 70),
    (r"pul-", r"[a-f0-9]", 40, 40),
    (r"API-", r"[A-Z0-9]", 25, 32),
    (r"tskey-[a-z]{3,12}-", _WORD, 16, 80),
    # models
    (r"sk-ant-[a-z0-9]{3,12}-", _WORD, 60, 255),
    (r"sk-(?:proj|svcacct|admin|or-v1|lf|live|None)-", _WORD, 20, 255),
    (r"sk-", _ALNUM, 32, 255),
    (r"pk-lf-", _WORD, 30, 60),
    (r"hf_", _ALNUM, 34, 60),
    (r"api_org_", r"[A-Za-z]", 34, 34),
    (r"xai-", _WORD, 60, 120),
    (r"gsk_", _ALNUM, 48, 60),
    (r"r8_", _ALNUM, 37, 40),
    (r"pplx-", _ALNUM, 40, 64),
    (r"csk-", r"[a-z0-9]", 40, 60),
    (r"fw_", _ALNUM, 22, 40),
    (r"nvapi-", _WORD, 60, 80),
    (r"jina_", _ALNUM, 50, 70),
    (r"pcsk_", r"[A-Za-z0-9_]", 50, 80),
    (r"lsv2_(?:pt|sk)_", r"[a-f0-9_]", 40, 50),
    (r"tgp_v1_", _WORD, 40, 50),
    (r"wandb_v1_", r"[A-Za-z0-9_]", 40, 100),
    (r"AQVN", _WORD, 35, 38),
    # clouds
    (r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])", r"[A-Z0-9]", 16, 16),
    (r"ABSK", _BASE64, 109, 269),
    (r"bedrock-api-key-", _BASE64, 30, 400),
    (r"IQoJb3JpZ2lu", r"[A-Za-z0-9+/=]", 60, 2000),
    (r"AIza", _WORD, 35, 35),
    (r"ya29\.", r"[A-Za-z0-9._-]", 30, 2000),
    (r"GOCSPX-", _WORD, 28, 28),
    (r"1//0", _WORD, 40, 200),
    (r"LTAI", _ALNUM, 12, 30),
    (r"AKID", _ALNUM, 32, 32),
    (r"do[opr]_v1_", r"[a-f0-9]", 64, 64),
    (r"HRKU-", _WORD, 36, 70),
    (r"fo1_", _WORD, 43, 43),
    (r"fm[12][ar]?_", r"[A-Za-z0-9+/=]", 100, 2000),
    (r"FlyV1 fm2_", r"[A-Za-z0-9+/=,]", 40, 2000),
    (r"hv[sbr]\.", _WORD, 24, 300),
    (r"sha256~", _WORD, 43, 43),
    (r"v1\.0-[a-f0-9]{24}-", r"[a-f0-9]", 100, 146),
    (r"dapi", r"[a-f0-9]", 32, 32),
    (r"dp\.(?:pt|st|ct|sa|scim|audit)\.", r"[A-Za-z0-9._-]", 40, 100),
    (r"dt0[a-z]\d\d\.[A-Z0-9]{24}\.", r"[A-Za-z0-9]", 64, 64),
    (r"ops_eyJ", r"[A-Za-z0-9+/=_-]", 100, 3000),
    (r"A3-[A-Z0-9]{6}-", r"[A-Z0-9-]", 26, 36),
    (r"p8e-", r"[a-z0-9]", 32, 32),
    (r"pscale_(?:tkn|oauth|pw)_", r"[A-Za-z0-9_=.-]", 32, 64),
    (r"sbp_", r"[a-f0-9]", 40, 50),
    (r"sb_secret_", _WORD, 20, 60),
    (r"napi_", r"[a-z0-9]", 40, 80),
    (r"rnd_", _ALNUM, 28, 40),
    (r"nf[pcou]_", _ALNUM, 36, 50),
    (r"vc[pkair]_", _ALNUM, 24, 80),
    (r"4b1d", _ALNUM, 38, 38),
    (r"cfut_", _WORD, 40, 60),
    (r"t1\.[A-Za-z0-9_-]{10,100}=?=?\.", _WORD, 86, 86),
    # logs, metrics, feature flags
    (r"glc_", r"[A-Za-z0-9+/=]", 32, 400),
    (r"glsa_", r"[A-Za-z0-9_]", 41, 41),
    (r"eyJrIjoi", r"[A-Za-z0-9+/=]", 60, 400),
    (r"NRAK-", r"[A-Z0-9]", 27, 27),
    (r"NRII-", _WORD, 32, 32),
    (r"NRJS-", r"[a-f0-9]", 19, 19),
    (r"NRRA-", r"[a-f0-9]", 42, 42),
    (r"sntry[su]_", r"[A-Za-z0-9_=+/]", 40, 400),
    (r"ddp_", _ALNUM, 36, 36),
    (r"phc_", _ALNUM, 40, 48),
    (r"ph[xs]_", _ALNUM, 40, 48),
    (r"sdk-[a-f0-9]{8}-", r"[a-f0-9-]", 27, 27),
    (r"api-[a-f0-9]{8}-", r"[a-f0-9-]", 27, 27),
    (r"hcaik_", r"[A-Za-z0-9_]", 40, 80),
    (r"dnkey-", r"[A-Za-z0-9=_-]", 60, 100),
    # money, shops, mail, chat
    (r"(?:sk|rk|pk)_(?:live|test|prod)_", _ALNUM, 10, 255),
    (r"whsec_", r"[A-Za-z0-9+/=]", 24, 80),
    (r"sq0(?:atp|csp|idp)-", _WORD, 22, 60),
    (r"EAAA", _WORD, 56, 64),
    (r"EAA[MC]", _ALNUM, 80, 400),
    (r"access_token\$(?:production|sandbox)\$[a-z0-9]{16}\$", r"[a-f0-9]", 32, 32),
    (r"access-(?:sandbox|development|production)-", r"[a-f0-9-]", 36, 36),
    (r"(?:live|test)_pub_", r"[a-f0-9]", 31, 31),
    (r"shp(?:at|ca|pa|ss|tka|ua)_", _HEX, 32, 40),
    (r"shippo_(?:live|test)_", _HEX, 40, 40),
    (r"EZ[AT]K", _ALNUM, 54, 54),
    (r"duffel_(?:test|live)_", r"[A-Za-z0-9_=-]", 43, 43),
    (r"FLWSECK(?:_TEST)?-", r"[A-Za-z0-9-]", 12, 40),
    (r"rzp_(?:live|test)_", _ALNUM, 14, 24),
    (r"SG\.", r"[A-Za-z0-9_.-]", 50, 80),
    (r"xkeysib-", r"[a-f0-9-]", 64, 100),
    (r"key-", r"[a-f0-9]", 32, 32),
    (r"re_[A-Za-z0-9]{8}_", _ALNUM, 20, 40),
    (r"xox[abcdeoprs](?:\.xox[bp])?-", r"[A-Za-z0-9-]", 10, 300),
    (r"xapp-\d-", r"[A-Za-z0-9-]", 20, 200),
    (r"xwfp-", r"[A-Za-z0-9-]", 20, 100),
    (r"SK", r"[a-f0-9]", 32, 32),
    (r"m(?:fa)\.", _WORD, 80, 100),
    (r"tfp_", r"[A-Za-z0-9_.=-]", 40, 80),
    # work, data, maps
    (r"lin_(?:api|oauth)_", _ALNUM, 40, 64),
    (r"ntn_", _ALNUM, 40, 60),
    (r"secret_", _ALNUM, 43, 43),
    (r"figd_", _WORD, 40, 60),
    (r"fig[uo]r?_", _WORD, 40, 60),
    (r"pat[A-Za-z0-9]{14}\.", r"[a-f0-9]", 64, 64),
    (r"pat-(?:na|eu)1-", r"[a-f0-9-]", 36, 36),
    (r"(?:pat|sat)\.[A-Za-z0-9_-]{22}\.", r"[A-Za-z0-9.]", 40, 46),
    (r"PMAK-", r"[a-f0-9-]", 50, 64),
    (r"pnu_", _ALNUM, 36, 36),
    (r"ico-", _ALNUM, 32, 32),
    (r"fio-u-", r"[A-Za-z0-9_=-]", 64, 64),
    (r"sm_[aps]at_", _ALNUM, 16, 16),
    (r"s-s4t2(?:ud|af)-", r"[a-f0-9]", 64, 64),
    (r"tk-us-", _WORD, 48, 48),
    (r"[ps]k\.eyJ", r"[A-Za-z0-9._-]", 60, 200),
    (r"(?:sc|ext|scauth|authress)_[A-Za-z0-9]{5,30}\.", r"[A-Za-z0-9+/_=.-]", 40, 200),
    # keys themselves
    (r"AGE-SECRET-KEY-1", r"[A-Z0-9]", 58, 58),
    (r"AGE-PLUGIN-[A-Z0-9]{1,20}-1", r"[A-Z0-9]", 30, 200),
    (r"[xz]prv", _ALNUM, 107, 108),
)
"""Tokens that say by their beginning what they are. A line break within the least length is
stepped over, since a terminal or a mail may have broken the line there."""

SHAPES: Final = (
    # a JSON Web Token, signed or not; also as base64 of itself
    rb"\b(ey[A-Za-z0-9_-]{10,}\.ey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{0,})",
    rb"\b(ZXlK[A-Za-z0-9+/=_-]{60,})",
    # Terraform Cloud; Azure's client secrets; Telegram; Discord; MaxMind; Mailchimp; Mailgun; Okta
    rb"\b([A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{40,80})",
    rb"(?:^|[^A-Za-z0-9_~.-])([A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34})(?:$|[^A-Za-z0-9_~.-])",
    rb"\b(\d{8,12}:A[A-Za-z0-9_-]{34})\b",
    rb"\b([MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40})\b",
    rb"\b([A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk)\b",
    rb"\b([a-f0-9]{32}-us\d{1,2})\b",
    rb"\b([a-f0-9]{32}-[a-f0-9]{8}-[a-f0-9]{8})\b",
    rb"\b(\d{15,16}\|[A-Za-z0-9_-]{27,40})\b",
    rb"\b(A{22}[A-Za-z0-9%]{60,120})",
    # addresses that are keys: webhooks
    rb"(?i)hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/_-]{20,120})",
    rb"(?i)discord(?:app)?\.com/api/(?:v\d+/)?webhooks/(\d{10,25}/[A-Za-z0-9_-]{40,120})",
    rb"(?i)webhook\.office\.com/(webhookb2/[A-Za-z0-9@/_-]{60,})",
    rb"(?i)chat\.googleapis\.com/v1/spaces/[\w-]{4,40}/messages\?(key=[^\s\"'<>]{20,})",
    rb"(?i)api\.telegram\.org/bot([^\s/\"']{20,80})",
    rb"(?i)logic\.azure\.com[^\s\"'<>]{0,}[?&](sig=[^\s\"'<>&]{20,})",
    rb"[?&](?:sig|X-Amz-Signature|X-Amz-Security-Token|X-Goog-Signature)=([^\s\"'<>&\\]{20,})",
    # headers of HTTP
    rb"(?i)\bauthorization[\"']?\s{0,8}[:=,]\s{0,8}[\"'f]{0,2}(?:basic|bearer|token|apikey|key|digest|splunk|negotiate|bot|klaviyo-api-key)\s{1,4}([A-Za-z0-9._~+/=:|-]{8,})",
    rb"(?i)\bbearer[ \t]{1,4}([A-Za-z0-9._~+/=-]{20,})",
    rb"(?i)\b(?:set-)?cookie[\"']?\s{0,4}:\s{0,4}[\"']?(?:[\w.-]{1,60}=[^;\s\"']{0,}; ?){0,8}[\w.-]{0,40}(?:session|sess|sid|auth|token|jwt)[\w.-]{0,20}=([^;\s\"']{12,})",
    # markup
    rb"(?i)<(?:[\w:.-]{0,40})(?:password|passwd|passphrase|secret|apikey|api-key|token|privatekey)>\s{0,8}([^<\s{$][^<\n{$]{3,}?)\s{0,8}</",
    rb"(?i)<add\s{1,8}key=\"[^\"]{0,60}(?:password|secret|apikey|token|key)\"\s{1,8}value=\"([^\"$%{]{6,})\"",
    # hashes of passwords
    rb"(\$(?:2[abxy]|5|6|y|argon2(?:id|i|d))\$[A-Za-z0-9./$=,+-]{30,})",
    rb"(?:^|[\s:])(\$apr1\$[A-Za-z0-9./$]{20,60})",
)
"""Secrets that are told by their form, or by what stands around them. Group 1 is the secret."""

OPTIONS: Final = (
    # user:password@ in an address
    rb"[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/:@\"'`<>\\]{0,}:([^\s/\"'`<>\\$%{(][^\s/\"'`<>\\]{1,})@[^\s/]",
    # options of tools that name a user and a password
    rb"(?i)\bcurl\b[^\n|]{0,}?\s(?:-u|--user|--proxy-user|-U)[ \t=]{0,4}[\"']?[^\s:\"'$]{0,100}:([^\s\"'${]{3,})",
    rb"(?i)(?:^|\s)--?(?:password|passwd|pass|pwd|passphrase|secret|token|api-?key|auth-?token|access-?token|access-?key|secret-?key|client-?secret|private-?key|http-password|ftp-password|proxy-password|user-password|db-password|admin-password|root-password)[ =][\"']?([^\s\"'`$<{(-][^\s\"'`]{4,})",
    rb"\b(?:mysql|mysqldump|mysqladmin|mariadb)\b[^\n|]{0,}?\s-p([^\s\"'$-][^\s\"']{3,100})",
    rb"\b(?:sqlcmd|bcp|osql)\b[^\n|]*?\s-P[ \t]*[\"']?([^\s\"'$-][^\s\"']{3,100})",
    rb"\bsshpass[ \t]{1,4}-p[ \t]{0,4}[\"']?([^\s\"'$]{3,})",
    rb"(?i)\bmachine[ \t]{1,8}[^\s]{1,}\s{1,8}login\s{1,8}[^\s]{1,}\s{1,8}password\s{1,8}([^\s]{3,})",
    rb"(?i)\bidentified[ \t]{1,4}(?:with[ \t]{1,4}[\w]{1,40}[ \t]{1,4})?by[ \t]{1,4}[\"']([^\"'\n]{3,})[\"']",
    rb"(?i)\bwith[ \t]{1,4}(?:login[ \t]{1,4})?(?:encrypted[ \t]{1,4})?password[ \t=]{1,4}[\"']([^\"'\n]{3,})[\"']",
    rb"(?m)(?:^|[\s\"'])[A-Za-z*][\w.*-]{0,120}:(?:\d{2,5}|\*):[\w*-][\w.*-]{0,80}:[\w*-][\w.*-]{0,80}:([^\s:\"']{4,})(?:$|[\s\"'])",
    rb"(?i)_auth(?:token)?[ \t]{0,4}=[ \t]{0,4}[\"']?([A-Za-z0-9+/=_-]{8,})",
    rb"[\"']auth[\"']\s{0,8}:\s{0,8}[\"']([A-Za-z0-9+/=]{12,})[\"']",
)
"""As `SHAPES`, where what is written may also be a word that stands for the secret."""

KEY_BLOCKS: Final = (
    rb"-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----((?:[A-Za-z0-9+/=\s:,.()\\]|-[^-\"'])+)",
    rb"((?:[A-Za-z0-9+/=]{16,80}[ \t]{0,8}\r?\n[ \t>|#*]{0,16}){1,}[A-Za-z0-9+/=]{0,80}[ \t]{0,8}(?:\r?\n[ \t>|#*]{0,16})?)-----END[ A-Z0-9_-]{0,100}PRIVATE KEY",
    rb"((?:[A-Za-z0-9+/=]{16,}))[ \t]{0,8}-----END[ A-Z0-9_-]{0,100}PRIVATE KEY",
    rb"\b(LS0tLS1CRUdJTi[A-Za-z0-9+/=\r\n]{20,})",
    rb"\b(b3BlbnNzaC1rZXktdjE[A-Za-z0-9+/=\r\n \t]{8,})",
    rb"(?i)\bprivate-lines:[ \t]{0,4}\d{1,4}\r?\n((?:[A-Za-z0-9+/=]{1,100}(?:\r?\n|\z)){1,})",
    rb"(?i)\bprivate-mac:[ \t]{0,4}([a-f0-9]{40,64})",
    rb"\b(MI(?:IE|IJ|IC|IG)[A-Za-z0-9+/]{2}IBAA[A-Za-z0-9+/=\r\n]{60,})",
    rb"(?i)[\"'](?:d|p|q|dp|dq|qi|k)[\"']\s{0,4}:\s{0,4}[\"']([A-Za-z0-9_-]{40,})[\"']",
)
"""Private keys, whole, cut off at either end, or encoded. Group 1 is the secret."""

NAMES: Final = (
    rb"(?i)(passwords?|passwd|passphrase|passcode|pwd|passw|secrets?|tokens?|credentials?|creds|"
    rb"api[ _.-]?keys?|access[ _.-]?keys?|secret[ _.-]?access[ _.-]?key|private[ _.-]?key|account[ _.-]?key|"
    rb"(?:shared|signing|encryption|master|license|licence|service|storage|deploy|app|application|admin|"
    rb"client|webhook|auth|root|session|integration|rest|server|primary|secondary|write|read|ingest|"
    rb"instrumentation|subscription|host|function|sas|hmac|jwt|cookie|crypt|cipher|salt)[ _.-]?(?:access[ _.-]?)?key|"
    rb"[_-]pass|[_-]pw|[_-]auth|[_-]key|[_-]pat|[_-]sid|[_-]dsn|auth[_-]?code|refresh[_-]?token|"
    rb"client[_-]?id|app[_-]?id)"
)
"""The last word of a name whose value is a secret if it looks like one."""

SERVICES: Final = (
    rb"(?i)\b([a-z0-9_.-]{0,40}(?:adafruit|adobe|airtable|algolia|alibaba|asana|atlassian|confluence|jira|"
    rb"auth0|beamer|bitbucket|bittrex|cloudflare|codecov|cohere|coinbase|confluent|contentful|datadog|"
    rb"discord|drone|dropbox|etsy|facebook|fastly|finicity|finnhub|flickr|freshbooks|gitter|gocardless|"
    rb"heroku|hubspot|intercom|jfrog|artifactory|kraken|kucoin|launchdarkly|linear|linkedin|lob|looker|"
    rb"mailchimp|mailgun|mapbox|mattermost|meraki|messagebird|mistral|netlify|newrelic|new_relic|nytimes|"
    rb"okta|openai|pagerduty|plaid|postmark|rapidapi|sendbird|sendgrid|sentry|snyk|sonar|splunk|squarespace|"
    rb"stripe|sumo|telegram|travis|trello|twilio|twitch|twitter|typeform|vercel|yandex|zendesk|zoom)"
    rb"[a-z0-9_.-]{0,40})"
)
"""Names with a service in them; their value is a secret if it has the form of an id or a key."""
