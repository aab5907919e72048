"""Why a forecast is what it is: exact shares of named parts of the past, and which reading moves what."""
