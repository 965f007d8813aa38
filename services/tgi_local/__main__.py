"""`python -m services.tgi_local`."""

import sys

from services.tgi_local.main import main

sys.exit(main())
