/* SPDX-License-Identifier: BSD-2-Clause */
/* What `version` prints. */
#pragma once

#define TARN_VERSION "0.1"
