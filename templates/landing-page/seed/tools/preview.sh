#!/bin/sh
# Show the site at http://localhost:8000 (another port: tools/preview.sh 9000).
cd "$(dirname "$0")/../site" && exec python3 -m http.server --bind 127.0.0.1 "${1:-8000}"
