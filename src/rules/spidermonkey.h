// The headers of SpiderMonkey 102, without the trouble that they make for other tools.
#pragma once

#if defined(__clang_analyzer__)
// clang-tidy 14 reads C++20 a second time with a preprocessor that knows no builtins, which this header looks for.
#include <mozilla/Assertions.h>
#include <mozilla/Compiler.h>

#include <algorithm>
#include <cmath>
#pragma push_macro("__clang__")
#undef __clang__
#include <mozilla/MathAlgorithms.h>
#pragma pop_macro("__clang__")
#endif

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the engine's list of roots, which live on the stack by design, for dangling pointers.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdangling-pointer"
#endif

#include <js/Array.h>
#include <js/BigInt.h>
#include <js/CallAndConstruct.h>
#include <js/CharacterEncoding.h>
#include <js/CompilationAndEvaluation.h>
#include <js/Context.h>
#include <js/ContextOptions.h>
#include <js/Conversions.h>
#include <js/ErrorReport.h>
#include <js/Exception.h>
#include <js/GCAPI.h>
#include <js/GlobalObject.h>
#include <js/Id.h>
#include <js/Initialization.h>
#include <js/Interrupt.h>
#include <js/Modules.h>
#include <js/Object.h>
#include <js/Principals.h>
#include <js/Promise.h>
#include <js/PropertyAndElement.h>
#include <js/PropertySpec.h>
#include <js/RealmOptions.h>
#include <js/RootingAPI.h>
#include <js/SavedFrameAPI.h>
#include <js/SourceText.h>
#include <js/Stack.h>
#include <js/String.h>
#include <js/TypeDecls.h>
#include <js/Value.h>
#include <js/friend/ErrorMessages.h>
#include <jsapi.h>
#include <jsfriendapi.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
