#pragma once

// Whether int8 products can saturate an int16 on this processor, or that is not known: x86 without VNNI and AMX.
bool may_saturate();
