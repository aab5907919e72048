// Where the floats of each row are: the frame that instructions work in.
#pragma once

#include "program.h"

#include "../core/simd.h"

namespace SW_TARGET {

using statewise::OFFSET_MASK;
using statewise::SPACE_SHIFT;
using statewise::SPACES;

struct Frame {
    float* base[SPACES];
    int64_t stride[SPACES];
    int64_t rows;
    uint8_t* bytes;  // quantised inputs
    bool backwards;  // read weights from their end

    SW_INLINE float* at(int32_t address, int64_t row) const {
        const int space = address >> SPACE_SHIFT;
        return base[space] + row * stride[space] + (address & OFFSET_MASK);
    }
    SW_INLINE int64_t step(int32_t address) const { return stride[address >> SPACE_SHIFT]; }
};

void run_map(const int32_t* at, const Frame& frame);
void run_cell(const int32_t* at, const statewise::Packed* packed, const Frame& frame);
void run_matvec(const int32_t* at, int64_t blocks, const statewise::Packed* packed, const Frame& frame);
void run_reduce(const int32_t* at, const Frame& frame);
void run_norm(const int32_t* at, const Frame& frame);
void run_softmax(const int32_t* at, const Frame& frame);
void run_cumsum(const int32_t* at, const Frame& frame);
void run_clock(const int32_t* at, const Frame& frame);
void run_product(const int32_t* at, const Frame& frame);

size_t packed_bytes(const statewise::Matrix& matrix);
void pack(const statewise::Matrix& matrix, const float* constants, const uint8_t* weights, void* to);

}  // namespace SW_TARGET
