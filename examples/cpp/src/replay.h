#pragma once

#include "bundle.h"
#include "session.h"

// Asks the engine the bundle's goldens, prints which agree, and returns whether all do. Their texts are tokenized
// too, where this program has a tokenizer, and must give the ids they gave where the bundle was made.
bool replay(const Bundle &bundle, Session &session);
