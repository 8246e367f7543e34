/* The climate of the example; what each function is, and where it comes from, is said in climate.h. */
#include "climate.h"

#include <math.h>

static const double PI = 3.14159265358979323846;
static const double SOLAR_CONSTANT_W_M2 = 1361.0;

static double radians(double degrees)
{
    return degrees * (PI / 180.0);
}

double latitude_deg(uint32_t row, uint32_t ny)
{
    return 90.0 - (row + 0.5) * (180.0 / ny);
}

double longitude_deg(uint32_t column, uint32_t nx)
{
    return -180.0 + (column + 0.5) * (360.0 / nx);
}

/* The sun's declination and distance by the day of the year (Cooper's formula, and the first term of the orbit's
 * eccentricity, as in J. A. Duffie and W. A. Beckman, "Solar Engineering of Thermal Processes", chapter 1). The day's mean
 * follows from the hour angle of sunset (D. L. Hartmann, "Global Physical Climatology", chapter 2). */
double insolation_w_m2(double latitude, int day)
{
    const double turn = 2.0 * PI / DAYS_A_YEAR;
    const double declination = radians(23.45) * sin(turn * (284 + day + 1));
    const double distance = 1.0 + 0.033 * cos(turn * (day + 1));
    const double phi = radians(latitude);
    double cos_sunset = -tan(phi) * tan(declination);
    if (cos_sunset > 1.0)
        cos_sunset = 1.0; /* polar night */
    if (cos_sunset < -1.0)
        cos_sunset = -1.0; /* polar day */
    const double sunset = acos(cos_sunset);
    const double height = sunset * sin(phi) * sin(declination) + cos(phi) * cos(declination) * sin(sunset);
    const double mean = SOLAR_CONSTANT_W_M2 / PI * distance * height;
    return mean > 0.0 ? mean : 0.0;
}

double insolation_annual_w_m2(double latitude)
{
    double sum = 0.0;
    for (int day = 0; day < DAYS_A_YEAR; day++)
        sum += insolation_w_m2(latitude, day);
    return sum / DAYS_A_YEAR;
}

double mixed_layer_m(double longitude, double latitude)
{
    const double lambda = radians(longitude), phi = radians(latitude);
    return 45.0 + 15.0 * cos(lambda - radians(150.0)) * cos(phi) + 10.0 * sin(phi) * sin(phi);
}

double heat_capacity(double depth_m)
{
    const double density_kg_m3 = 1025.0, specific_heat_j_kg = 3990.0; /* sea water */
    return density_kg_m3 * specific_heat_j_kg * depth_m;
}

double annual_mean_closed_form(double latitude, double albedo)
{
    return ((1.0 - albedo) * insolation_annual_w_m2(latitude) - OUTGOING_A) / OUTGOING_B;
}

void step_constant(double *temperature, const double *rate, size_t n, double sun, double albedo)
{
    const double gain = (1.0 - albedo) * sun - OUTGOING_A;
    for (size_t i = 0; i < n; i++)
        temperature[i] += rate[i] * (gain - OUTGOING_B * temperature[i]);
}

/* Open water reflects more towards the poles, by the second Legendre polynomial of the sine of latitude, as in the models named
 * in climate.h. */
double open_albedo(double latitude)
{
    const double x = sin(radians(latitude));
    return 0.30 + 0.08 * (1.5 * x * x - 0.5);
}

/* Ice spreads over a cell as it gets colder, from none where it freezes to all of it 30 degrees below. So gently that
 * over a year albedo takes less with the cold than outgoing radiation gives back: else, without transport, a cell has two
 * climates, and the sea a step at the ice's edge. */
void step_ice(double *temperature, const double *rate, size_t n, double sun, double open)
{
    const double ice_albedo = 0.40, freezes = -1.8, frozen = -31.8;
    const double scale = 1.0 / (freezes - frozen);
    for (size_t i = 0; i < n; i++) {
        const double t = temperature[i];
        double ice = (freezes - t) * scale;
        ice = ice > 0.0 ? ice : 0.0;
        ice = ice < 1.0 ? ice : 1.0;
        ice = ice * ice * (3.0 - 2.0 * ice);
        const double albedo = open + ice * (ice_albedo - open);
        temperature[i] = t + rate[i] * ((1.0 - albedo) * sun - OUTGOING_A - OUTGOING_B * t);
    }
}
