/*
 * The climate of the example: what one sea cell gains and loses, and the closed form of its annual mean.
 *
 * Each cell is a mixed layer that gains sunlight and loses long-wave radiation that is linear in its temperature:
 *
 *     C dT/dt = (1 - albedo) Q(latitude, day) - (A + B T)
 *
 * the zero-dimensional form, without transport between the cells, of the energy balance models of
 * G. R. North, R. F. Cahalan and J. A. Coakley, "Energy balance climate models", Reviews of Geophysics 19 (1981) 91-121;
 * A and B are theirs. Without transport the tropics come out warmer and the poles colder than the real sea.
 */
#ifndef OCEAN_CLIMATE_H
#define OCEAN_CLIMATE_H

#include <stddef.h>
#include <stdint.h>

#define DAYS_A_YEAR 365

/* Outgoing radiation A + B T: W/m2, and W/m2 a degree Celsius. */
#define OUTGOING_A 203.3
#define OUTGOING_B 2.09

/* Cell centres, in degrees. Row 0 is the northernmost (90 N downwards), column 0 begins at 180 W. */
double latitude_deg(uint32_t row, uint32_t ny);
double longitude_deg(uint32_t column, uint32_t nx);

/* Mean insolation at the top of the atmosphere over one day (0 .. 364), in W/m2. */
double insolation_w_m2(double latitude, int day);

/* Its mean over the 365 days. */
double insolation_annual_w_m2(double latitude);

/* Depth of the mixed layer, a smooth function of place, in m. */
double mixed_layer_m(double longitude, double latitude);

/* Heat capacity of a layer of that depth, in J/m2 a degree. */
double heat_capacity(double depth_m);

/* Annual mean temperature of a cell with a constant albedo, in degrees Celsius: over a year that repeats itself
 * the layer keeps nothing, so that the means of gain and loss are equal:
 *     T = ((1 - albedo) Qmean - A) / B
 * (North, Cahalan and Coakley 1981, the balance of their zero-dimensional model, with the local annual insolation).
 * It holds for the discrete year too: forward steps sum to it exactly, whatever the depth and the length of a step. */
double annual_mean_closed_form(double latitude, double albedo);

/* One step of a row of cells that share a latitude and so the insolation `sun`; the rate of a cell is its step in seconds
 * over its heat capacity. */
void step_constant(double *temperature, const double *rate, size_t n, double sun, double albedo);

/* The same, with an albedo that follows the latitude over open water and rises where the cell freezes. */
void step_ice(double *temperature, const double *rate, size_t n, double sun, double open_albedo);

/* Albedo of open water and the clouds over it at a latitude. */
double open_albedo(double latitude);

#endif
